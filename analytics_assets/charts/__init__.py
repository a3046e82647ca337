"""Tables as pictures: pure functions from pandas frames to a Matplotlib figure, in one house style.

Belongs here: how numbers are shown, one module a subject. Does not belong here: which rows are shown (`assets`), any
file, and any table expression. Libraries are imported inside functions: a code location that draws nothing opens fast.
"""
