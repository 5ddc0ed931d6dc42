"""The pages in Chromium: one server and one browser for all modules."""
