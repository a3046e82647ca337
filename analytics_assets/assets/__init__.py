"""The graph: plain functions from tables to a table, a file a subject.

Belongs here: one function a table, decorated with the contract that it keeps; the names of its parameters are the
tables that it reads, and a parameter with the default None is a table that it can do without. Does not belong here:
Dagster (`automation`), SQL (`lake`), and whatever opens a file.
"""
