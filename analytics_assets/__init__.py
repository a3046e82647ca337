"""Product analytics and experimentation as one Dagster asset graph.

The rooms, top to bottom; imports point downward only:
`definitions`, `cli` > `automation` > `assets` > `sources`, `project` > `lake` > `analysis` > `contracts`.
"""
