"""Tokens, users, sessions and the guard that decides what a caller may do."""
