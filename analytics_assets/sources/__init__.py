"""Delivered files: where they come from and how they become readable."""
