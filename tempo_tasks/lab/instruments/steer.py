"""The command `tempo steer`: are an option's chances moved by moving its name through time?

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import Engine, Layers, takes_settings, tell

if TYPE_CHECKING:
    from tempo_attn.directions import Directions
    from tempo_attn.lab.run_folder.folder import Run
    from tempo_attn.lab.steer.pushes import Push
    from tempo_tasks.lab.check_settings import Size
    from tempo_tasks.lab.instruments.timeline_directions import TimelineDirections
    from tempo_tasks.lab.options import LayerSets
    from tempo_tasks.lab.outcome import Outcome
    from tempo_tasks.lab.study import Study

SIGNS = {"eo": -1, "lo": 1}
"""Where an option's name is pushed so that the option wins: earlier, or later."""


@dataclass(frozen=True, kw_only=True)
class SteerRequest:
    """What a trial of steering is asked for.

    Attributes:
        run: The run folder of a finished `tempo timeline`.
        out: Folder of the trial's run, in `trial`, and of the configuration.
        layers: "each" layer that has a direction, "all" of them at once, or sets.
        strengths: alpha; above 0 an option is pushed to where it wins.
        random: Random directions of the same size beside each.
        engine: How pushes are run: `auto`, `fast` or `full`.
        write: Strength of the configuration that is written; above 0 is later. None for none.
    """

    run: Path
    out: Path
    layers: LayerSets = "each"
    strengths: Sequence[float] = (0.5, 1.0, 2.0)
    random: int = 5
    engine: str = "auto"
    write: float | None = None

    def pushes(self, directions: Directions, size: Size) -> list[Push]:
        """Return what is run on a decoder.

        Raises:
            OptionError: It cannot be.
        """
        from tempo_attn.lab.steer.pushes import pushes
        from tempo_tasks.lab.options import wrong_options

        sets: Sequence[Sequence[int]]
        if self.layers == "each":
            sets = [(layer,) for layer in directions.layers]
        elif self.layers == "all":
            sets = [directions.layers]
        else:
            sets = self.layers
        with wrong_options():
            return pushes(directions, sets, self.strengths, self.random, size.n_layers)


@takes_settings("memory", "seed")
def steer(
    settings: Settings,
    run: Annotated[Path, typer.Option("--from", help="Run folder of a finished `tempo timeline`.")],
    out: Annotated[Path, typer.Option(help="Folder of the trial, and of the configuration.")],
    layers: Layers = "each",
    strengths: Annotated[
        str,
        typer.Option(
            help="alpha, with commas; below 0 pushes an option away from where it wins: "
            "--strengths=-1,1,2."
        ),
    ] = "0.5,1,2",
    random: Annotated[
        int, typer.Option(help="Random directions of the same size beside each.", min=0)
    ] = 5,
    engine: Engine = "auto",
    write: Annotated[
        float | None,
        typer.Option(
            help="Write a configuration that moves all options' names by so much; above 0 is later."
        ),
    ] = None,
) -> None:
    """Move the name of one option along a direction of time, and count the answers that flip.

    Example: tempo steer --from my-timeline --tasks tempo_synth_eo_aqa --layers 1-3 --out steered
    """
    from tempo_tasks.lab.options import parse_layers, parse_strengths

    request = SteerRequest(
        run=run,
        out=out,
        layers=parse_layers(layers),
        strengths=parse_strengths(strengths),
        random=random,
        engine=engine,
        write=write,
    )
    tell(run_steer(settings, request))


def run_steer(settings: Settings, request: SteerRequest) -> Outcome | None:
    """Push the names of options, and write the tables and, where asked for, the configuration.

    Args:
        settings: What it runs on; the run folder is the request's.
        request: What is tried.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request, or the directions are
            another model's.
        RunFolderError: There are no directions, or they are damaged.
    """
    from tempo_attn.lab.steer.run import SteerTrial
    from tempo_tasks.lab.instruments.timeline_directions import read_timeline
    from tempo_tasks.lab.options import parse_engine, wrong_options
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.study import Study

    engine = parse_engine(request.engine)
    settings = replace(settings, out=request.out / "trial")
    timeline = read_timeline(request.run)
    _check(settings, request)
    study = Study(settings, lambda size: request.pushes(timeline.later, size))
    _require_same_model(study, timeline)
    study, n_left_out = _others(study, timeline)
    pushes = request.pushes(timeline.later, study)
    with wrong_options():
        trial = SteerTrial(
            study.subject,
            timeline.later,
            pushes,
            SIGNS,
            plan=study.plan,
            seed=settings.seed,
            engine=engine,
        )
    trial.settle(study.plan.extremes(study.items))
    of_command = {
        "pushes": [push.to_dict() for push in pushes],
        "engine": trial.choice.engine,
        "directions": {
            "timeline": timeline.sha256,
            "sha256": timeline.later.sha256,
            "first_bin": timeline.first,
            "last_bin": timeline.last,
            **timeline.about,
            "clips_known": timeline.clips_used is not None,
            "n_left_out": n_left_out,
        },
    }
    run = study.run("steer", of_command, trial.run_batch)
    outcome = written(study, run)
    if outcome is not None and request.write is not None:
        _write_configuration(request, run, timeline, pushes)
    return outcome


def _check(settings: Settings, request: SteerRequest) -> None:
    """Check what can be told before a model is loaded."""
    from tempo_attn.config_fields import strength
    from tempo_attn.errors import OptionError
    from tempo_tasks.harness.task_index import asked_tasks
    from tempo_tasks.lab.options import wrong_options
    from tempo_tasks.output_files import check_output

    check_output(request.out, folder=True)
    for name, task in asked_tasks(settings.tasks, settings.metadata).items():
        if task.kind.value not in SIGNS:
            raise OptionError(
                f"task {name} asks which event is longest, and no event becomes longer by being "
                "earlier or later; choose tasks of the earliest onset (eo) or the latest offset "
                "(lo)"
            )
    if request.write is not None:
        sets = 1 if request.layers == "all" else len(request.layers)
        if request.layers == "each" or sets != 1:
            raise OptionError(
                "--write: a configuration has one set of layers; name it: --layers 3, 2+3 or all"
            )
        with wrong_options():
            strength("--write", request.write, "steer")


def _require_same_model(study: Study, timeline: TimelineDirections) -> None:
    from tempo_attn.errors import OptionError

    weights = study.manifest("steer", {}).fingerprints.model.weights
    if timeline.model_weights is not None and timeline.model_weights != weights:
        raise OptionError(
            f"the directions are of a model with other weights ({timeline.model_weights[:8]}) than "
            f"the one that --model and --model-args give ({weights[:8]}); give the timeline's"
        )


def _others(study: Study, timeline: TimelineDirections) -> tuple[Study, int]:
    """Return the study of the items whose clips the directions were not made from."""
    from tempo_attn.errors import OptionError
    from tempo_tasks.lab.instruments.timeline_directions import left_out

    used = left_out([item.cluster for item in study.items], timeline)
    rest = [item for item, was in zip(study.items, used, strict=True) if not was]
    if not rest:
        raise OptionError(
            f"the directions were made from the clips of all {len(study.items)} items; add items "
            "of other clips, such as by a larger --limit"
        )
    return study.of(rest), sum(used)


def _write_configuration(
    request: SteerRequest, run: Run, timeline: TimelineDirections, pushes: Sequence[Push]
) -> None:
    """Write the edit of all options' names, with what the trial says of its layers."""
    from tempo_attn import AttnScaleConfig
    from tempo_attn.files.strict_json import parse_json
    from tempo_attn.hub.model_names import shared_name
    from tempo_tasks.lab.outcome import origin_of

    rows: Any = parse_json((run.folder / "steer.json").read_text())
    AttnScaleConfig(
        mode="steer",
        strength=request.write,
        layers=list(pushes[0].layers),
        queries=["option"],
        directions=timeline.later,
        base_model_name_or_path=shared_name(run.manifest.fingerprints.model.name),
        provenance={
            "chosen": "by its author; along the time of temporal IDs (tempo timeline), tried on "
            "one option's name at a time (tempo steer)",
            "directions": run.manifest.settings.of_command["directions"],
            "trial": rows,
            **origin_of(run.manifest),
        },
    ).save_pretrained(request.out)
