"""The temporal-reasoning benchmark as an lm-evaluation-harness plugin.

Clips become questions (`questions`), questions become prompts under a condition (`conditions`),
the harness scores them (`harness`). Imports `tempo_attn`; is never imported by it.
"""

__version__ = "0.1.0"
