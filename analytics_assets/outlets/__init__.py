"""Where results go: released tables for tools that do not read the lake, and messages to people.

Belongs here: one module a kind of place. Does not belong here: what a table holds (`assets`) and when it is sent
(`automation`).
"""
