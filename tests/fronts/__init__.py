"""Shared by the tests of the manager and of nginx in its place."""
