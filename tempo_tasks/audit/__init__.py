"""What a benchmark's scores can mean: `tempo audit DATA...`. No audio is opened, no model run.

- `item_arrays`: the questions of one kind as arrays. `strategies`: what a strategy is, and what it
  earns.
- `shortcuts`, `priors`, `letter_order`: strategies that do not do what the question asks for.
- `ceiling`: a perfect detector with a timing error.
- `overlap`, `training`: doubles, and clips that a model was trained on.
- `parts`: a kind of a data set, and several together. `assemble`: all of it for every part, as
  plain JSON types; `verdict`: what it comes to.
- `benchmarks`: the audit of other people's items.
- `result_table`, `figures`, `result_files`: how it is shown and written; `audit_command`: the
  command.
"""
