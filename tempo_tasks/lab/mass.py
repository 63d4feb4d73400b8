"""The command `tempo mass`: how much attention goes to audio, layer by layer.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import ROWS, Rows, takes_settings, tell

if TYPE_CHECKING:
    from tempo_tasks.lab.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class MassRequest:
    """What a measurement of attention mass is asked for.

    Attributes:
        rows: Sets of query rows, whose attention is measured.
    """

    rows: Sequence[Sequence[str]]


@takes_settings("out", "shard")
def mass(settings: Settings, rows: Rows = ROWS) -> None:
    """Measure how much attention goes to audio, layer by layer, for right and wrong answers.

    Example: tempo mass --tasks tempo_synth_eo_aqa,tempo_synth_eo_silence --rows last,option
    """
    from tempo_tasks.lab.options import parse_rows

    tell(run_mass(settings, MassRequest(rows=parse_rows(rows))))


def run_mass(settings: Settings, request: MassRequest) -> Outcome | None:
    """Measure attention mass on audio and write its tables.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request.
    """
    from tempo_attn.lab.mass.run import MassMeter
    from tempo_tasks.lab.options import check_rows
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.study import Study

    rows = check_rows(request.rows)
    study = Study(settings)
    measurer = MassMeter(study.subject, rows, plan=study.plan)
    of_command = {"rows": [list(names) for names in rows]}
    return written(study, study.run("mass", of_command, measurer.run_batch))
