"""The sweep: attention on audio edited at every layer, strength and set of query rows.

`grid` says which variants there are, `run` runs them (on `fast_engine`, or on `full_engine`),
`records` holds what was found, `effects` and `table` what follows from it, and `choose` picks an
edit.
"""
