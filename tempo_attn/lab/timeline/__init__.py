"""Temporal IDs: whether the states at events' names hold when these events sound."""
