"""Black-box tests of what platforms, API clients and admins meet on the wire."""
