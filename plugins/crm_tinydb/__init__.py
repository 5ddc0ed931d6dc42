"""Per-tenant TinyDB files behind a journal: the default storage backend."""
