"""The command `tempo listen`: is the time of an event already in the attention?

Heavy imports wait until the command runs.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import Rows, takes_settings, tell

if TYPE_CHECKING:
    from tempo_attn.lab.items import Item
    from tempo_tasks.harness.lalm import LALM
    from tempo_tasks.harness.task_index import Asked
    from tempo_tasks.lab.check_settings import Size
    from tempo_tasks.lab.outcome import Outcome

LAST = ["last"]
_FIELDS = ("event", "other")


@dataclass(frozen=True, kw_only=True)
class ListenRequest:
    """What `tempo listen` is asked for.

    Attributes:
        rows: Sets of query rows that are compared with the right event; the rows of each option's
            own name always are with that option's.
        window: Seconds of a window; None for the length of the event's longest interval.
        over_time: Layers whose attention on every single audio position is recorded, two at most.
        instructions: Two texts, A and B, with {event} and {other} in them: the change of attention
            from B to A is looked at, too. Empty to leave that out.
    """

    rows: Sequence[Sequence[str]]
    window: float | None = None
    over_time: Sequence[int] = ()
    instructions: Sequence[str] = ()

    def layers(self, size: Size) -> list[int]:
        """Return the layers that are recorded over time, of a decoder of some size.

        Raises:
            OptionError: A layer that there is not, or too many.
        """
        from tempo_attn.lab.listen.run import recorded_layers
        from tempo_tasks.lab.options import wrong_options

        with wrong_options():
            return recorded_layers(self.over_time, size.n_layers)


@takes_settings("out", "shard", "seed")
def listen(
    settings: Settings,
    rows: Rows = LAST,
    window: Annotated[
        float | None,
        typer.Option(help="Seconds of a window; default: as long as the event's longest interval."),
    ] = None,
    over_time: Annotated[
        str,
        typer.Option(
            help="Layers, two at most, such as 0,1: also record the attention on every audio "
            "position, which tempo report draws."
        ),
    ] = "",
    instruction_a: Annotated[
        str,
        typer.Option(
            help="With --instruction-b: also the change of attention from B to A. {event} is the "
            "right option's name, {other} the next option's. Such as: Listen for {event}."
        ),
    ] = "",
    instruction_b: Annotated[
        str, typer.Option(help="The other instruction, such as: Listen for {other}.")
    ] = "",
) -> None:
    """Find where in a clip's time attention looks: at the event, while it sounds?

    Example: tempo listen --tasks tempo_synth_eo_aqa --rows last --over-time 0,1 --out listened
    """
    from tempo_tasks.lab.options import parse_rows, parse_some_layers

    request = ListenRequest(
        rows=parse_rows(rows),
        window=window,
        over_time=parse_some_layers("--over-time", over_time),
        instructions=(instruction_a, instruction_b) if instruction_a or instruction_b else (),
    )
    tell(run_listen(settings, request))


def run_listen(settings: Settings, request: ListenRequest) -> Outcome | None:
    """Measure where attention looks and write the tables.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request.
        UnsupportedModelError: The model's audio positions do not follow time.
        MissingIntervalsError: See `listen_truths`, and for further errors.
    """
    from tempo_attn.lab.listen.run import Listener
    from tempo_tasks.lab.check_settings import check_settings
    from tempo_tasks.lab.corruptions import silenced
    from tempo_tasks.lab.instruments.event_times import positions_per_second
    from tempo_tasks.lab.instruments.listen_truths import Truths
    from tempo_tasks.lab.options import check_rows
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.study import Study

    rows = check_rows(request.rows)
    _check_request(request)
    _check_tasks(check_settings(settings, request.layers))
    _check_order(settings)
    truths = Truths(settings.limit, request.window)
    study = Study(settings, request.layers, truths.read)
    listener = Listener(
        study.subject,
        rows,
        truths.of_items(study.items, positions_per_second(study.lm)),
        silenced,
        window=request.window,
        recorded=request.over_time,
        asked=_as_two(study.lm, request.instructions) if request.instructions else None,
        plan=study.plan,
    )
    of_command = {
        "rows": [list(names) for names in rows],
        "window": request.window,
        "over_time": listener.recorded,
        "instructions": list(request.instructions),
    }
    return written(study, study.run("listen", of_command, listener.run_batch))


def _check_request(request: ListenRequest) -> None:
    from tempo_attn import AUDIO_PLACEHOLDER
    from tempo_attn.errors import OptionError

    window = request.window
    if window is not None and not (math.isfinite(window) and window > 0):
        raise OptionError(f"--window {window}: expected seconds, more than 0, such as 1.5")
    if not request.instructions:
        return
    for side, text in zip("ab", request.instructions, strict=True):
        option = f"--instruction-{side}"
        if not text.strip():
            raise OptionError(
                f"{option} is missing: the change of attention is between two instructions; give "
                "both --instruction-a and --instruction-b"
            )
        try:
            named = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        except ValueError as error:
            raise OptionError(f"{option} {text!r}: {error}; write {{{{ for a brace") from None
        if unknown := sorted(named - set(_FIELDS)):
            raise OptionError(
                f"{option} {text!r}: unknown {{{unknown[0]}}}; expected {{event}} or {{other}}"
            )
        if AUDIO_PLACEHOLDER in text:
            raise OptionError(
                f"{option} {text!r}: {AUDIO_PLACEHOLDER} is put before it; leave it out"
            )
    if request.instructions[0] == request.instructions[1]:
        raise OptionError("--instruction-a and --instruction-b are the same; nothing would change")


def _check_tasks(asked: dict[str, Asked]) -> None:
    from tempo_attn.errors import OptionError
    from tempo_tasks.questions.conditions import Condition

    for name, task in asked.items():
        if Condition.MIRROR in task.conditions or Condition.SILENCE in task.conditions:
            what = "silence" if Condition.SILENCE in task.conditions else "mirrored twins"
            raise OptionError(
                f"task {name} gives {what}, whose events' times are not those of the clip; choose "
                "*_aqa tasks (silence is heard beside them anyway)"
            )


def _check_order(settings: Settings) -> None:
    """Refuse families whose audio positions do not follow time, before the model is loaded.

    Raises:
        UnsupportedModelError: The model is of such a family.
    """
    from tempo_attn.errors import UnsupportedModelError
    from tempo_attn.families import get_family
    from tempo_tasks.harness.arguments import model_config

    given = dict(settings.model_args or {})
    family = get_family(model_config(settings.model, given), given.get("family"))
    if not family.audio_in_time_order:
        raise UnsupportedModelError(
            f"{settings.model}: the audio positions of {family.name} do not follow the clip's "
            "time, so attention on them says nothing about when something sounds; choose a model "
            "of another family"
        )


def _as_two(lm: LALM, texts: Sequence[str]) -> Callable[[Item], tuple[Item, Item]]:
    """Return what makes of an item its audio under each of two instructions."""
    from tempo_attn import AUDIO_PLACEHOLDER

    def asked(item: Item) -> tuple[Item, Item]:
        options = item.options or ()
        named = {
            "event": options[item.answer],
            "other": options[(item.answer + 1) % len(options)],
        }
        handles = item.content[1]
        one, other = (
            replace(
                item,
                question=None,
                options=None,
                content=(lm.render(AUDIO_PLACEHOLDER + text.format(**named), handles), handles),
            )
            for text in texts
        )
        return one, other

    return asked
