"""The commands that look at single heads, at attention over time, and at hidden states."""
