"""How the graph runs: functions made into Dagster assets, jobs, a run's resources, Dagster's history.

Belongs here: everything that knows Dagster. Does not belong here: what a table holds (`assets`) or promises
(`contracts`), and SQL (`lake`).
"""
