"""The front that routes by instance code."""
