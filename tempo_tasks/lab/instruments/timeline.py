"""The command `tempo timeline`: do states at events' names hold when these events sound?

Heavy imports wait until the command runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import takes_settings, tell

if TYPE_CHECKING:
    from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
    from tempo_attn.lab.items import Item
    from tempo_tasks.lab.outcome import Outcome
    from tempo_tasks.lab.study import Study

BASELINES = ("silence", "random_weights")
"""Baselines that need forwards of their own; the mean and shuffled times cost none."""


@dataclass(frozen=True, kw_only=True)
class TimelineRequest:
    """What a timeline is asked for.

    Attributes:
        probes: "ridge", "mlp" or both.
        baselines: Some of `BASELINES`.
        folds: Folds of classes, and of clips.
        bin_seconds: Length of a bin of temporal IDs.
        relative: Whether bins are shares of a clip in place of seconds.
    """

    probes: Sequence[str] = ("ridge", "mlp")
    baselines: Sequence[str] = BASELINES
    folds: int = 4
    bin_seconds: float = 2.5
    relative: bool = False


@takes_settings("out", "shard", "seed")
def timeline(
    settings: Settings,
    probes: Annotated[str, typer.Option(help="ridge, mlp (one hidden layer), or both.")] = (
        "ridge,mlp"
    ),
    baselines: Annotated[
        str,
        typer.Option(
            help="Further forwards: silence, random_weights (takes the model's memory again), "
            "or none."
        ),
    ] = ",".join(BASELINES),
    folds: Annotated[int, typer.Option(help="Folds of event classes, and as many of clips.")] = 4,
    bin_seconds: Annotated[
        float, typer.Option(help="Length of a bin of temporal IDs, in seconds.")
    ] = 2.5,
    relative: Annotated[
        bool, typer.Option("--relative", help="Bins are shares of a clip, not seconds.")
    ] = False,
) -> None:
    """Read from the states at events' names when these events sound (temporal IDs).

    Example: tempo timeline --tasks tempo_synth_eo_aqa --out my-timeline
    """
    from tempo_attn.lab.timeline.probes import PROBES
    from tempo_tasks.lab import options

    chosen = [] if baselines == "none" else options.parse_names("--baselines", baselines, BASELINES)
    request = TimelineRequest(
        probes=options.parse_names("--probes", probes, PROBES),
        baselines=chosen,
        folds=folds,
        bin_seconds=bin_seconds,
        relative=relative,
    )
    tell(run_timeline(settings, request))


def run_timeline(settings: Settings, request: TimelineRequest) -> Outcome | None:
    """Read the states at events' names, and write the tables.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request.
        MissingExtraError: scikit-learn is not installed.
        MissingIntervalsError: No event's times are known.
        PositionError: An event's name is not found in its prompt, or stands in it twice.
    """
    from tempo_attn.lab.folds import check_folds
    from tempo_attn.lab.run_folder.folder import default_folder
    from tempo_attn.lab.timeline.probes import require_sklearn
    from tempo_attn.lab.timeline.records import SOURCES
    from tempo_attn.lab.timeline.run import StateReader, Studied
    from tempo_tasks.harness.task_index import asked_tasks
    from tempo_tasks.lab.corruptions import silenced
    from tempo_tasks.lab.instruments.prompt_events import by_key, check_conditions, prompt_events
    from tempo_tasks.lab.options import wrong_options
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.study import Study

    require_sklearn()
    if not (math.isfinite(request.bin_seconds) and 0.01 <= request.bin_seconds <= 3600):
        raise _wrong_bins(request.bin_seconds)
    check_conditions(asked_tasks(settings.tasks, settings.metadata))
    with wrong_options():
        check_folds(request.folds)
        study = Study(
            settings,
            check_tasks=lambda tasks: prompt_events(
                tasks, settings.limit, request.folds, settings.seed
            ),
        )
    events = prompt_events(study.tasks, settings.limit, request.folds, settings.seed)
    random = cache(lambda: _random(study, settings.seed))
    known = {
        "states": Studied(subject=lambda: study.subject),
        "silence": Studied(subject=lambda: study.subject, change=silenced),
        "random_weights": Studied(subject=random),
    }
    sources = [name for name in SOURCES if name == "states" or name in request.baselines]
    of_command = {
        "sources": sources,
        "probes": list(request.probes),
        "folds": request.folds,
        "bin_seconds": float(request.bin_seconds),
        "relative": request.relative,
    }
    folder = settings.out or default_folder(study.manifest("timeline", of_command))

    def seconds(item: Item) -> float:
        (wave, *_) = study.lm.waves(item.content[1])
        return len(wave) / study.lm.sampling_rate

    reader = StateReader(
        [known[name] for name in sources],
        by_key(events, study.items),
        seconds,
        folder,
        plan=study.plan,
    )
    return written(study, study.run("timeline", of_command, reader.run_batch))


def _wrong_bins(found: float) -> Exception:
    from tempo_attn.errors import OptionError

    return OptionError(f"--bin-seconds is {found}; expected seconds between 0.01 and 3600")


def _random(study: Study, seed: int) -> ModelUnderStudy:
    """Return the model under study with random weights; made when it is first needed."""
    from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
    from tempo_attn.lab.timeline.random_weights import with_random_weights
    from tempo_tasks.lab.tasks_to_items import prepare

    return ModelUnderStudy(
        with_random_weights(study.lm.model, seed),
        lambda items: prepare(study.lm, items),
        tokenizer=study.lm.tokenizer,
    )
