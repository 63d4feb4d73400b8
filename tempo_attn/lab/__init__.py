"""The laboratory: experiments on what attention to audio does, on prepared items.

    subject = Subject(model, prepare, tokenizer=tokenizer)
    variants = Grid(strengths={"scale": (0.5, 2.0)}).variants(n_layers, n_heads)
    records = [r for batch in Sweeper(subject, variants).run(items) for r in batch]
    table = effects(SweepResults(variants, records))

What is tried is in `grid`, what it is tried on in `items`, the model under study in `subject`.
`sweep` runs it, fast by `capture` and `replay` or slowly by `full`, in pieces cut by `plan`; `rows`
is what an edit does to query rows in both. `records` come out; `effects`, `inference`, `checks`,
`choose` and `tables` make numbers of them, `pictures` (with `panels`, `effect_panels` and `lines`)
draws them. `share` measures attention shares. `runs` (with `run_files`, `manifest` and
`fingerprints`) keeps all of it on disk. Nothing here knows a benchmark or a harness.
"""
