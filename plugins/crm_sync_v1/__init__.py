"""The native signature scheme, crm-sync-v1."""
