"""The record type ``deals``: what may be sold to a customer, on its way through the stages."""
