"""The command `tempo mass`: how much attention goes to audio, layer by layer.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import ROWS, Rows, takes_settings, tell

if TYPE_CHECKING:
    from tempo_tasks.lab.check_settings import Size
    from tempo_tasks.lab.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class MassRequest:
    """What a measurement of attention mass is asked for.

    Attributes:
        rows: Sets of query rows, whose attention is measured.
        over_time: Layers whose attention on every single audio position is recorded.
    """

    rows: Sequence[Sequence[str]]
    over_time: Sequence[int] = ()

    def layers(self, size: Size) -> list[int]:
        """Return the layers that are recorded over time, of a decoder of some size.

        Raises:
            OptionError: A layer that there is not.
        """
        from tempo_attn.lab.mass.run import recorded_layers
        from tempo_tasks.lab.options import wrong_options

        with wrong_options():
            return recorded_layers(self.over_time, size.n_layers)


@takes_settings("out", "shard")
def mass(
    settings: Settings,
    rows: Rows = ROWS,
    over_time: Annotated[
        str,
        typer.Option(
            help="Layers, such as 1,3-5: also record the attention on every audio position."
        ),
    ] = "",
) -> None:
    """Measure how much attention goes to audio, layer by layer, for right and wrong answers.

    Example: tempo mass --tasks tempo_synth_eo_aqa,tempo_synth_eo_silence --rows last,option
    """
    from tempo_tasks.lab.options import parse_rows, parse_some_layers

    request = MassRequest(
        rows=parse_rows(rows), over_time=parse_some_layers("--over-time", over_time)
    )
    tell(run_mass(settings, request))


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
    study = Study(settings, request.layers)
    measurer = MassMeter(study.subject, rows, plan=study.plan, over_time=request.over_time)
    of_command = {"rows": [list(names) for names in rows], "over_time": measurer.over_time}
    return written(study, study.run("mass", of_command, measurer.run_batch))
