"""The record type ``customers``: the people and companies a tenant deals with."""
