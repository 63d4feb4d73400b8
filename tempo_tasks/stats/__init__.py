"""Statistics of what the harness wrote: `tempo stats RUN [RUN...]`. No model is run here.

- `names`, `samples`, `runs`: from the harness's files to items.
- `clustered_estimates`: means and shares whose items share clips, with errors and intervals.
- `pairs`: two runs or conditions on the same items: difference, tests, what could be seen.
- `accuracy`, `comparisons`, `robustness`: the tables; `report` puts
  them together, `columns` and `output` write and show them.

Nothing is imported here, so that `tempo --help` answers at once.
"""
