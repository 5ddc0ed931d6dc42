"""The sync console: attempts, the log, sections and their history."""
