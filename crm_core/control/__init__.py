"""The lock on a tenants folder and the private socket to the server that has locked it."""
