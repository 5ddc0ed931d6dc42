"""Signing in, the account, users and their rights."""
