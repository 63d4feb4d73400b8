"""What `tempo trace` does; `lab.trace_cli` is its command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tempo_attn.lab.engine.hidden_states import COMPONENTS
from tempo_attn.lab.trace.records import Direction
from tempo_attn.lab.trace.run import Tracer, check_options
from tempo_attn.lab.trace.sites import GROUPS, Site, sites
from tempo_tasks.lab.check_settings import Size
from tempo_tasks.lab.corruptions import check_corruption, corruption
from tempo_tasks.lab.options import parse_way
from tempo_tasks.lab.outcome import Outcome, written
from tempo_tasks.lab.study import Settings, Study

_DIRECTIONS: dict[str, tuple[Direction, ...]] = {"silence": ("recover",), "mirror": ("shift",)}
"""What the sources of the two corruptions measure."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """What is patched.

    Attributes:
        corrupt: "silence" or "mirror".
        directions: "recover" and "shift"; none for the corruption's usual one.
        components: Some of `COMPONENTS`.
        groups: Some of `GROUPS`.
        layers: Behind which layers; None for all, with the first layer's input.
        method: "patching", "attribution" or "both".
        single: Whether positions are patched one at a time.
        nulls: Whether random changes of the same size are patched, too.
        way: "auto", "fast" or "full".
    """

    corrupt: str = "silence"
    directions: Sequence[Direction] = ()
    components: Sequence[str] = COMPONENTS[:1]
    groups: Sequence[str] = GROUPS
    layers: Sequence[int] | None = None
    method: str = "patching"
    single: bool = False
    nulls: bool = True
    way: str = "auto"


def trace(settings: Settings, patches: Patches) -> Outcome | None:
    """Trace what carries the answer and write the tables.

    Args:
        settings: On what.
        patches: What.

    Returns:
        None in a process that is not the one that writes tables.
    """
    check_corruption(patches.corrupt, settings.tasks)
    directions = tuple(patches.directions) or _DIRECTIONS[patches.corrupt]
    check_options(directions, patches.method, patches.single)
    parse_way(patches.way)

    def sites_of(size: Size) -> list[Site]:
        return sites(
            size.n_layers,
            components=patches.components,
            groups=patches.groups,
            layers=patches.layers,
            nulls=patches.nulls and patches.method != "attribution",
        )

    study = Study(settings, sites_of)
    study.items, corrupt = corruption(patches.corrupt, study.items)
    chosen = sites_of(study)
    tracer = Tracer(
        study.subject,
        corrupt,
        chosen,
        directions=directions,
        method=patches.method,
        single=patches.single,
        plan=study.plan,
        seed=settings.seed,
        engine=patches.way,
    )
    tracer.settle(study.plan.extremes(study.items))
    more = {
        "corrupt": patches.corrupt,
        "directions": list(directions),
        "sites": [site.to_dict() for site in chosen],
        "method": patches.method,
        "single": patches.single,
        "way": patches.way,
    }
    return written(study, study.run("trace", more, tracer.run_batch))
