"""The synthetic shop: a world whose truth is known, made day by day.

Read in this order: `streams` (randomness), `vocabulary` and `things` (names, places, products), `calendar` (the pace
of a day), `people` (who signs up), `visits` (who comes and buys: the process), `orders` and `events` (rows of a day),
`dirt` (what goes wrong on the way), `delivery` (what the project reads), `truth` (what should be found).

Belongs here: making rows of `project.shop.Shop`. Does not belong here: what the parameters are, and any reading of what
the platform made of the rows.
"""
