"""Receiving signed pushes: checks, apply, log, history and health."""
