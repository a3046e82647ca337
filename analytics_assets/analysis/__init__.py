"""Questions as table expressions: from tables to a table, with Ibis alone.

Belongs here: what a session, a funnel, a cohort is. Does not belong here: Dagster, files, an engine's own functions,
and statistics on numbers.
"""
