"""The executive report: from findings to sentences to pages.

Belongs here: records of findings, the words that follow from numbers, the rules of recommendations, one document and
its renderers. Does not belong here: tables (`assets.report` reads them) and files (`outlets.reports` writes them).
"""
