"""What `tempo lens` does; `lab.lens_cli` is its command line."""

from __future__ import annotations

from collections.abc import Sequence

from tempo_attn.lab.lens.run import CANDIDATES, Lens, parse_views
from tempo_tasks.lab.outcome import Outcome, written
from tempo_tasks.lab.study import Settings, Study


def lens(
    settings: Settings, rows: Sequence[str], candidates: Sequence[str] = CANDIDATES
) -> Outcome | None:
    """Read what every layer says of the answer and write the tables.

    Args:
        settings: On what.
        rows: Sets of rows, such as "last" and "keyword+last"; see `Lens`.
        candidates: "letters", "labels" or both.

    Returns:
        None in a process that is not the one that writes tables.
    """
    parse_views(rows, candidates)  # before anything is loaded
    study = Study(settings)
    reader = Lens(study.subject, rows, candidates=candidates, plan=study.plan)
    settings_of_run = {
        "rows": [list(names) for names in reader.rows],
        "candidates": list(reader.candidates),
    }
    return written(study, study.run("lens", settings_of_run, reader.run_batch))
