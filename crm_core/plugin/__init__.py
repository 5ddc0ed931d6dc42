"""The one door for plugins: hooks, the base classes they return, the host and the registry."""
