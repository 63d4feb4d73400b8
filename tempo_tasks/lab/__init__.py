"""The laboratory's commands of `tempo`, one file each, on the benchmark's items.

`sweep.py`, `mass.py`, `lens.py`, `trace.py`, `compare.py`, `presets.py`, `choose.py` and `merge.py`
each hold a command: its options, a frozen request of what was asked for, and a function that does
it, for Python. They share the options in `shared_options.py`, the readers of texts in `options.py`,
the loaded model with its items in `study.py`, and what is written and shown in `outcome.py`. What
an experiment does is in `tempo_attn.lab`.
"""
