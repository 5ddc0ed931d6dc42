"""Benchmarks of the whole: ``make bench``."""
