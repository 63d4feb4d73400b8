"""Statistics of what the harness wrote: `tempo stats RUN [RUN...]`. No model is run here.

- `names`, `samples`, `runs`: from the harness's files to items.
- `clustered`, `estimates`: means and shares whose items share clips, with errors and intervals.
- `pairs`: two runs or conditions on the same items: difference, tests, what could be seen.
- `accuracy`, `comparisons`, `robustness`: the tables; `columns`, `report`, `page`: how they are
  written and shown.

Names that need numpy are imported from their modules, so that `tempo --help` answers at once.
"""

from tempo_tasks.stats.clustered import clustered_standard_error

__all__ = ["clustered_standard_error"]
