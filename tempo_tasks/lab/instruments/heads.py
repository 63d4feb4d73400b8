"""The command `tempo heads`: which heads' attention on audio goes with right answers.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import Rows, takes_settings, tell

if TYPE_CHECKING:
    from tempo_tasks.lab.outcome import Outcome

LAST = ["last"]


@dataclass(frozen=True, kw_only=True)
class HeadsRequest:
    """What a measurement of heads is asked for.

    Attributes:
        rows: Sets of query rows, whose attention is measured.
    """

    rows: Sequence[Sequence[str]]


@takes_settings("out", "shard", "seed")
def heads(settings: Settings, rows: Rows = LAST) -> None:
    """Score every head: does its attention on audio go with right answers?

    Example: tempo heads --tasks tempo_synth_eo_aqa --rows last,option
    """
    from tempo_tasks.lab.options import parse_rows

    tell(run_heads(settings, HeadsRequest(rows=parse_rows(rows))))


def run_heads(settings: Settings, request: HeadsRequest) -> Outcome | None:
    """Measure the attention of every head and write the tables.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request.
    """
    from tempo_attn.lab.heads.run import HeadMeter
    from tempo_tasks.lab.instruments.event_times import (
        in_positions,
        positions_per_second,
        right_events,
    )
    from tempo_tasks.lab.options import check_rows
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.study import Study

    rows = check_rows(request.rows)
    study = Study(settings)
    spans = {}
    if study.lm.family.audio_in_time_order:  # else the event's own positions are not known
        times = right_events(study.tasks, study.items)
        spans = in_positions(times, positions_per_second(study.lm))
    meter = HeadMeter(study.subject, rows, spans=spans, plan=study.plan, seed=settings.seed)
    of_command = {"rows": [list(names) for names in rows]}
    return written(study, study.run("heads", of_command, meter.run_batch))
