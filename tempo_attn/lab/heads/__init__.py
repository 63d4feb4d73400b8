"""Specialist heads: which heads' attention on audio goes with right answers."""
