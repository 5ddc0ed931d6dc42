"""The record type ``activities``: notes, calls, meetings and emails with a customer or on a deal."""
