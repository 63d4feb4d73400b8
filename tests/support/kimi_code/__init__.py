"""A stand-in for the code in Kimi-Audio's repository: a tiny checkpoint has it as remote code.

Written from a description: what it is called with, what it returns and what it needs are those of
the original (flash-attn among them, and transformers 4); sizes are not.
"""
