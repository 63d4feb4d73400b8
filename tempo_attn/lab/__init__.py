"""The laboratory: experiments on what attention to audio does, on prepared items.

`grid` says what is tried, `items` what it is tried on, `sweep` runs it (with `capture` and `replay`
below it), `records` is what comes out, `checks`, `effects` and `choose` make numbers of that and
`tables` rows of these, `runs` keeps it on disk under a `manifest` of what was run on what. Nothing
here knows a benchmark or a harness.
"""
