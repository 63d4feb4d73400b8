"""The command `tempo lens`: what every layer already says of the answer.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import takes_settings, tell

if TYPE_CHECKING:
    from tempo_tasks.lab.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class LensRequest:
    """What a lens is asked for.

    Attributes:
        rows: Sets of positions where the lens looks: query rows, or "audio".
        candidates: "letters", "labels" or both.
    """

    rows: Sequence[str | Sequence[str]]
    candidates: Sequence[str] = ("letters", "labels")


@takes_settings("out", "shard")
def lens(
    settings: Settings,
    rows: Annotated[
        list[str],
        typer.Option(
            help="Rows to look at: last, keyword, option, audio, all_text; keyword+last is their "
            "union."
        ),
    ] = ["last,keyword,option,audio"],  # noqa: B006 - typer copies it
    candidates: Annotated[
        str,
        typer.Option(help="letters (A, B ...), labels (the options' own first tokens), or both."),
    ] = "letters,labels",
) -> None:
    """Read what every layer says of the answer (logit lens), for right and wrong answers.

    Example: tempo lens --tasks tempo_synth_eo_aqa,tempo_synth_lo_aqa --limit 100 --rows last,option
    """
    from tempo_attn.lab.lens.run import CANDIDATES, ROWS
    from tempo_tasks.lab import options

    request = LensRequest(
        rows=options.parse_rows(rows, ROWS),
        candidates=options.parse_names("--candidates", candidates, CANDIDATES),
    )
    tell(run_lens(settings, request))


def run_lens(settings: Settings, request: LensRequest) -> Outcome | None:
    """Read what every layer says of the answer and write the tables.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request.
    """
    from tempo_attn.lab.lens.run import Lens, parse_views
    from tempo_tasks.lab.options import wrong_options
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.study import Study

    with wrong_options():
        rows, candidates = parse_views(request.rows, request.candidates)
    study = Study(settings)
    reader = Lens(study.subject, rows, candidates=candidates, plan=study.plan)
    of_command = {"rows": [list(names) for names in rows], "candidates": list(candidates)}
    return written(study, study.run("lens", of_command, reader.run_batch))
