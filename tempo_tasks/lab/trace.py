"""The command `tempo trace`: which layers and positions carry what was heard.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import Engine, takes_settings, tell

if TYPE_CHECKING:
    from tempo_attn.lab.trace.records import Direction
    from tempo_attn.lab.trace.sites import Site
    from tempo_tasks.lab.check_settings import Size
    from tempo_tasks.lab.outcome import Outcome

_DIRECTIONS: dict[str, tuple[Direction, ...]] = {"silence": ("recover",), "mirror": ("shift",)}
"""What the sources of the two corruptions measure."""
GROUPS = ("text", "early", "keyword", "option", "late", "last", "audio")
"""All groups of positions, as in `tempo_attn.lab.trace.sites`, whose import is heavy."""


@dataclass(frozen=True, kw_only=True)
class TraceRequest:
    """What a trace is asked for.

    Attributes:
        corrupt: "silence" or "mirror": what the other run hears.
        directions: "recover" and "shift"; none for the corruption's usual one.
        components: What is patched: "residual", "attention", "mlp".
        groups: Groups of positions.
        layers: Layers after which states are patched; None for all, with the first layer's input.
        method: "patching", "attribution" or "both".
        single: Whether positions are patched one at a time.
        nulls: Whether random changes of the same size are patched, too.
        engine: "auto", "fast" or "full".
    """

    corrupt: str = "silence"
    directions: Sequence[Direction] = ()
    components: Sequence[str] = ("residual",)
    groups: Sequence[str] = GROUPS
    layers: Sequence[int] | None = None
    method: str = "patching"
    single: bool = False
    nulls: bool = True
    engine: str = "auto"

    def sites(self, size: Size) -> list[Site]:
        """Return what is patched in a decoder of some size.

        Raises:
            OptionError: An unknown component or group, a layer that there is not, or nothing.
        """
        from tempo_attn.lab.trace.sites import sites
        from tempo_tasks.lab.options import wrong_options

        with wrong_options():
            return sites(
                size.n_layers,
                components=self.components,
                groups=self.groups,
                layers=self.layers,
                nulls=self.nulls and self.method != "attribution",
            )


@takes_settings("memory", "out", "shard", "seed")
def trace(
    settings: Settings,
    corrupt: Annotated[
        str,
        typer.Option(
            help="silence: of the clip's length. mirror: the events in reversed order; needs "
            "*_mirror tasks."
        ),
    ] = "silence",
    direction: Annotated[
        str | None,
        typer.Option(
            help="recover: clean states into the corrupted run; shift: the other way; or both with "
            "a comma. Default: recover for silence, shift for mirror."
        ),
    ] = None,
    components: Annotated[
        str, typer.Option(help="What is patched: residual, attention, mlp; with commas.")
    ] = "residual",
    groups: Annotated[
        str,
        typer.Option(
            help="Positions: text (all after the audio's start), early, keyword, option, late, "
            "last, audio."
        ),
    ] = ",".join(GROUPS),
    layers: Annotated[
        str, typer.Option(help="each (with the first layer's input), or a list: 0,3,10-14.")
    ] = "each",
    method: Annotated[
        str,
        typer.Option(
            help="patching; attribution (to first order, three passes for all sites); or both, "
            "with their agreement."
        ),
    ] = "patching",
    single: Annotated[
        bool,
        typer.Option("--single", help="Patch positions one at a time; the mean over a group."),
    ] = False,
    nulls: Annotated[bool, typer.Option(help="Also patch random changes of the same size.")] = True,
    engine: Engine = "auto",
) -> None:
    """Trace which layers and positions carry what was heard (causal tracing).

    Example: tempo trace --tasks tempo_synth_eo_aqa --limit 100 --method both --out my-trace
    """
    from tempo_attn.lab.engine.hidden_states import COMPONENTS
    from tempo_attn.lab.trace.records import DIRECTIONS
    from tempo_attn.lab.trace.run import METHODS
    from tempo_tasks.lab import options

    request = TraceRequest(
        corrupt=corrupt,
        directions=()
        if direction is None
        else options.parse_names("--direction", direction, DIRECTIONS),
        components=options.parse_names("--components", components, COMPONENTS),
        groups=options.parse_names("--groups", groups, GROUPS),
        layers=options.parse_single_layers(layers),
        method=options.parse_name("--method", method, METHODS),
        single=single,
        nulls=nulls,
        engine=options.parse_engine(engine),
    )
    tell(run_trace(settings, request))


def run_trace(settings: Settings, request: TraceRequest) -> Outcome | None:
    """Trace what carries the answer and write the tables.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request.
    """
    from tempo_attn.lab.trace.run import Tracer, check_options
    from tempo_tasks.lab.corruptions import check_corruption, corruption
    from tempo_tasks.lab.options import parse_engine, wrong_options
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.study import Study

    check_corruption(request.corrupt, settings.tasks, settings.metadata)
    directions = tuple(request.directions) or _DIRECTIONS[request.corrupt]
    with wrong_options():
        check_options(directions, request.method, request.single)
    parse_engine(request.engine)
    study = Study(settings, request.sites)
    study.items, corrupt = corruption(request.corrupt, study.items)
    sites = request.sites(study)
    tracer = Tracer(
        study.subject,
        corrupt,
        sites,
        directions=directions,
        method=request.method,
        single=request.single,
        plan=study.plan,
        seed=settings.seed,
        engine=request.engine,
    )
    tracer.settle(study.plan.extremes(study.items))
    of_command = {
        "corrupt": request.corrupt,
        "directions": list(directions),
        "sites": [site.to_dict() for site in sites],
        "method": request.method,
        "single": request.single,
        "engine": request.engine,
    }
    return written(study, study.run("trace", of_command, tracer.run_batch))
