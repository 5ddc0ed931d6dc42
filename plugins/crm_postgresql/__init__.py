"""A storage backend on PostgreSQL, which several processes and hosts share."""
