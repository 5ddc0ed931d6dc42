"""The schema: ``NNNN_N_SUBJECT.sql`` is part of the migration to version ``NNNN``. No release had a version before 14.

A new database gets all files in order, another one those of later versions. Read them in the same order.
"""
