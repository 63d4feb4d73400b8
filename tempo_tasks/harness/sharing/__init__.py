"""What prompts have in common, computed once: clips, beginnings, the order in which they meet."""
