"""The record type ``deals``: sales opportunities on their way through the stages."""
