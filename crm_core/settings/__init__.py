"""YAML files into frozen values, with file:line:column errors and reload."""
