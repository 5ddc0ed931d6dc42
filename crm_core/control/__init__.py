"""The lock on a tenants folder, and the private socket of the server that has the lock."""
