"""Answers as numbers: tests, intervals, corrections.

Belongs here: functions of counts, moments and arrays, with the paper or the book that they come from. Does not belong
here: tables (`analysis`, `assets`).
"""
