"""What a benchmark's scores can mean: `tempo audit DATA...`. No audio is opened, no model run.

- `items`: the questions of one kind as arrays. `rows`: what a strategy is, and what it earns.
- `shortcuts`, `priors`, `letters`: strategies that do not do what the question asks for.
- `ceiling`: a perfect detector with a timing error.
- `overlap`, `training`: doubles, and clips that a model was trained on.
- `assemble`: all of it for every part, as plain JSON types; `verdict`: what it comes to.
- `table`, `pictures`, `report`, `cli`: how it is shown and written.
"""
