"""Where tables stay: Delta tables, the engine that computes them, releases, and the lock of a run.

Belongs here: every SQL text, every DuckDB and Delta call. Does not belong here: what a table means (`contracts`), how
it is computed (`assets`), and Dagster.
"""
