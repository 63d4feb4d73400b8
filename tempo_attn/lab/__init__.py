"""The laboratory: experiments on what attention to audio does, on prepared items.

    subject = ModelUnderStudy(model, prepare, tokenizer=tokenizer)
    variants = Grid(strengths={"scale": (0.5, 2.0)}).variants(n_layers, n_heads)
    records = [r for batch in Sweeper(subject, variants).run(items) for r in batch]
    table = effects(SweepResults(variants, records))

What is tried is in `grid`, what it is tried on in `items`, the model under study in `subject`,
pieces are cut by `plan`.

- `sweep`: fast by `capture`, `growing` and `replay`, or slowly by `full`, checked by `ways`;
  `rows` is what an edit does to query rows in both, `records` come out. `effects`, `inference`,
  `checks`, `choose`, `adaptive` and `tables` make numbers of them.
- `share`: attention shares.
- `lens`: what every layer says of the answer, read by `readout`; numbers in `lens_table` and
  `lens_critical`.
- `trace`: states of one run written into another, at `sites`; `states` keeps and changes what
  leaves modules, `patcher` runs patches by `patching` (also a growing batch), `attribution` is
  their gradient; `trace_records` come out, `trace_table` makes numbers of them.

`pictures`, `lens_picture`, `trace_picture` and `preset_picture` draw (with `panels`,
`effect_panels`, `lines` and `cells`). `runs` (with `run_files`, `manifest` and `fingerprints`)
keeps all of it on disk. Nothing here knows a benchmark or a harness.
"""
