"""What each table promises: grain, columns, keys, references and rules, each said once.

Belongs here: declarations and the one aggregate query that audits them. Does not belong here: reading or writing a
table, Dagster, and any import of another room of this package.
"""
