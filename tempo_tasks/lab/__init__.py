"""The laboratory of `tempo_attn.lab` on the benchmark: its items, verbs and reports."""
