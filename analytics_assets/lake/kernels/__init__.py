"""Kernels: analyses in DuckDB's own SQL, where that takes a fraction of the time of the Ibis form.

Belongs here: a second form of an analysis, equal by test to the one in `analysis`, which stays the definition and the
form for every other engine. Does not belong here: an analysis that has no Ibis form.

All of them sort once and then go through the rows in that order with windows that have neither PARTITION BY nor ORDER
BY: DuckDB streams these, and a later row meets what earlier ones left behind. That order is the one of a subquery,
which DuckDB keeps; the tests hold the plan and the answers to it.
"""
