"""The record type ``tasks``: what is to be done, for a customer or a deal."""
