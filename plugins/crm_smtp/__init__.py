"""The smtp section: the mail server a tenant sends through."""
