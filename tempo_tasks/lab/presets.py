"""The command `tempo presets`: published edits on the same items, with equal bookkeeping.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import Engine, Nulls, takes_settings, tell

if TYPE_CHECKING:
    from tempo_attn.lab.presets.table import Compared
    from tempo_attn.modes import Null
    from tempo_tasks.lab.check_settings import Size
    from tempo_tasks.lab.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class PresetsRequest:
    """What a comparison of presets is asked for.

    Attributes:
        names: Names of `PRESETS`.
        layers: One set of layers for all presets; None for the published ones.
        nulls: Random perturbations; a knockout, whose change has no sign, gets "keys".
        engine: "auto", "fast" or "full".
    """

    names: Sequence[str]
    layers: Literal["all"] | Sequence[int] | None = None
    nulls: Sequence[Null] = ("sign",)
    engine: str = "auto"

    def entries(
        self, size: Size, without: Sequence[int] = (), base: str | None = None
    ) -> list[Compared]:
        """Return the presets on a decoder of some size.

        Args:
            size: The decoder's size.
            without: Its layers without attention that can be edited.
            base: The model's name, for the presets' configurations.

        Raises:
            OptionError: A preset has no layer to edit, or a layer is out of range.
        """
        from tempo_attn.lab.presets.published import PRESETS, compared, resolved_layers
        from tempo_tasks.lab.options import wrong_options

        usable = [layer for layer in range(size.n_layers) if layer not in without]
        with wrong_options():
            given = None if self.layers is None else resolved_layers(self.layers, size.n_layers)
            return [
                compared(name, config, size.n_layers, usable, given, base)
                for name in self.names
                for config in PRESETS[name]()
            ]


@takes_settings("memory", "out", "shard", "seed")
def presets(
    settings: Settings,
    presets: Annotated[
        str,
        typer.Option(
            help="all, or some of mata, mata_add, pai, adaptvis, knockout, scaling, upweighting. "
            "They bring their strengths and rows."
        ),
    ] = "all",
    layers: Annotated[
        str | None,
        typer.Option(
            help="One set of layers for all presets: 3, 2+3 or all. Default: the published ones, "
            "at the same relative depth."
        ),
    ] = None,
    nulls: Nulls = "sign",
    engine: Engine = "auto",
) -> None:
    """Compare published edits side by side: MATA, PAI, AdaptVis, knockout, scaling, upweighting.

    Example: tempo presets --tasks tempo_synth_eo_aqa --limit 100 --presets mata,pai --out presets
    """
    from tempo_tasks.lab import options

    request = PresetsRequest(
        names=parse_presets(presets),
        layers=None if layers is None else options.parse_layer_set(layers),
        nulls=options.parse_nulls(nulls),
        engine=options.parse_engine(engine),
    )
    tell(run_presets(settings, request))


def run_presets(settings: Settings, request: PresetsRequest) -> Outcome | None:
    """Compare presets on the same items and write the tables.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request.
    """
    from tempo_attn.hub.model_names import loaded_name
    from tempo_attn.lab.presets.published import variants_of
    from tempo_tasks.lab.options import parse_engine
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.run_variants import run_variants
    from tempo_tasks.lab.study import Study

    parse_engine(request.engine)
    check_presets(request.names)
    study = Study(settings, request.entries)
    without = study.subject.decoder.without_attention
    entries = request.entries(study, without, loaded_name(study.lm.public_name()))
    run = run_variants(
        study,
        variants_of(entries, request.nulls),
        command="presets",
        engine=request.engine,
        presets=[entry.to_dict() for entry in entries],
    )
    return written(study, run)


def parse_presets(value: str) -> list[str]:
    """Read `all`, or names of presets: `mata,pai`.

    Raises:
        OptionError: An unknown preset, or none.
    """
    from tempo_attn.lab.presets.published import PRESETS

    if value.strip() == "all":
        return list(PRESETS)
    return check_presets(list(dict.fromkeys(part.strip() for part in value.split(","))))


def check_presets(names: Sequence[str]) -> list[str]:
    """Return names of presets.

    Raises:
        OptionError: One is unknown, or there is none.
    """
    from tempo_attn.did_you_mean import did_you_mean
    from tempo_attn.errors import OptionError
    from tempo_attn.lab.presets.published import PRESETS

    for name in names or [""]:
        if name not in PRESETS:
            raise OptionError(
                f"--presets: unknown {name!r}.{did_you_mean(name, PRESETS, 1)}"
                f" Available: all, {', '.join(PRESETS)}"
            )
    return list(names)
