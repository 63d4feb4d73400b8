"""The laboratory: experiments on what attention to audio does, on prepared items.

    model = ModelUnderStudy(model, prepare, tokenizer=tokenizer)
    variants = Grid(strengths={"scale": (0.5, 2.0)}).variants(n_layers, n_heads)
    records = [r for batch in Sweeper(model, variants).run(items) for r in batch]
    table = effects(SweepResults(variants, records))

`items` are what experiments run on, `item_records` what every one keeps of an item. `engine` runs
one model many times. An experiment is a folder with `run`, `records`, `table` and `figures`:
`sweep` edits attention, `mass` measures how much of it goes to audio, `lens` reads what every layer
says of the answer, `trace` writes states of one run into another, and `presets` compares published
edits. `run_folder` keeps all of it on disk, `figures` draws what their figures share. Nothing here
knows a benchmark or a harness.
"""
