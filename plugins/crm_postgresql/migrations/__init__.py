"""The schema's migrations, one file for each version."""
