"""What a team declares: a folder of YAML, its models, and precise errors.

Belongs here: the pydantic models, their loading, and everything that can be said against a declaration without reading
data. Does not belong here: reading data (`sources`) and computing (`assets`).
"""
