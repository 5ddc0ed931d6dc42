"""The Standard Webhooks signature scheme."""
