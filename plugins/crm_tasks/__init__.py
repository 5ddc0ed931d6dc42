"""The record type ``tasks``: things to do, for a customer or a deal."""
