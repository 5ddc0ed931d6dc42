"""``make run``: a demo instance with one tenant, pushed to by a platform and filled with records, over HTTP."""
