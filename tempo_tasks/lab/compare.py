"""The command `tempo compare`: scaling beside its two parts and a bias of the same audio mass.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import Engine, Layers, Nulls, Rows, takes_settings, tell

if TYPE_CHECKING:
    from tempo_attn.lab.sweep.grid import Variant
    from tempo_attn.modes import Mode, Null
    from tempo_tasks.lab.grid_request import GridRequest
    from tempo_tasks.lab.options import LayerSets
    from tempo_tasks.lab.outcome import Outcome
    from tempo_tasks.lab.study import Study

MATCHED: tuple[Mode, ...] = ("scale", "scale_preserving", "upweight_matched")
"""Scaling and its two parts: at the same alpha they agree on shape, or on mass, or on both."""
_BIASES = (-6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
_CALIBRATION_ITEMS = 32


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """What a comparison of scaling with its parts is asked for.

    Attributes:
        strengths: alpha of the scaling.
        layers: "each" layer by itself, "all" at once, or sets of layers.
        rows: Sets of query rows.
        nulls: Random perturbations.
        engine: "auto", "fast" or "full".
    """

    strengths: Sequence[float]
    layers: LayerSets
    rows: Sequence[Sequence[str]]
    nulls: Sequence[Null] = ("sign",)
    engine: str = "auto"

    @property
    def grid(self) -> GridRequest:
        """Scaling and its two parts; the biases are found by measuring."""
        from tempo_tasks.lab.grid_request import GridRequest

        return GridRequest(
            strengths={mode: tuple(self.strengths) for mode in MATCHED},
            layers=self.layers,
            rows=self.rows,
            nulls=self.nulls,
        )


@takes_settings("memory", "out", "shard", "seed")
def compare(
    settings: Settings,
    strengths: Annotated[str, typer.Option(help="alpha of the scaling.")] = "0.5,2",
    layers: Layers = "each",
    rows: Rows = ["last,keyword,keyword+last,option"],  # noqa: B006 - typer copies it
    nulls: Nulls = "sign",
    engine: Engine = "auto",
) -> None:
    """Compare scaling with upweighting at matched audio mass, for each set of rows.

    Example: tempo compare --tasks tempo_synth_eo_aqa --limit 100 --layers 0,1 --out compared
    """
    from tempo_tasks.lab import options

    request = CompareRequest(
        strengths=options.parse_strengths(strengths),
        layers=options.parse_layers(layers),
        rows=options.parse_rows(rows),
        nulls=options.parse_nulls(nulls),
        engine=options.parse_engine(engine),
    )
    tell(run_compare(settings, request))


def run_compare(settings: Settings, request: CompareRequest) -> Outcome | None:
    """Compare scaling with upweighting at matched audio mass.

    Beside scaling and its two parts runs a constant bias, the same for all items, rows and heads,
    whose mean audio mass on the first items is that of scaling. The runs that find it lie beside
    the run folder, in one of its name with `-calibration`.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request.
    """
    from tempo_attn.lab.run_folder.folder import default_folder
    from tempo_tasks.lab.options import parse_engine
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.run_variants import run_variants
    from tempo_tasks.lab.study import Study

    engine = parse_engine(request.engine)
    study = Study(settings, request.grid.variants)
    variants = request.grid.variants(study)
    scaled = [v for v in variants if v.mode == "scale" and v.role == "edit"]
    asked = {"variants": [variant.to_dict() for variant in variants], "engine": engine}
    folder = settings.out or default_folder(study.manifest("compare", asked))
    beside = folder.with_name(f"{folder.name}-calibration")
    biases = matching_biases(study.of_first(_CALIBRATION_ITEMS), scaled, engine, beside)
    for bias in dict.fromkeys(biases):
        variants += [bias, *(bias.null(null) for null in request.nulls)]
    # The scaling that each bias stands beside, by number.
    matches = [
        [variants.index(edit), variants.index(bias)]
        for edit, bias in zip(scaled, biases, strict=True)
    ]
    run = run_variants(
        study, variants, command="compare", engine=engine, out=folder, matches=matches
    )
    return written(study, run)


def matching_biases(
    study: Study, scaled: Sequence[Variant], engine: str, out: Path
) -> list[Variant]:
    """Return, for each scaling, the constant bias that gives audio the same mean mass.

    The mass is measured at some biases and interpolated between them; a mass beyond that of the
    largest bias gets that one. What mass a bias really has on all items is in the results.

    Args:
        study: The items on which mass is measured.
        scaled: Scalings.
        engine: "auto", "fast" or "full".
        out: The folder of the runs that measure.
    """
    import numpy as np

    from tempo_attn.lab.sweep.records import SweepResults
    from tempo_tasks.lab.run_variants import run_variants

    probes = {
        edit.control: [replace(edit, mode="upweight", strength=bias) for bias in _BIASES]
        for edit in scaled
    }
    variants = [*probes, *scaled, *(probe for group in probes.values() for probe in group)]
    run = run_variants(study, variants, command="calibration", engine=engine, out=out)
    results = SweepResults.of_run(run)
    masses = np.nan_to_num(np.nanmean(results.audio[..., 1], axis=0))
    found = []
    for edit in scaled:
        points = [(0.0, edit.control), *zip(_BIASES, probes[edit.control], strict=True)]
        biases, group = zip(*sorted(points, key=lambda point: point[0]), strict=True)
        # More bias, more mass; where it is all or nothing, rounding may say otherwise.
        rising = np.maximum.accumulate(masses[[results.number[variant] for variant in group]])
        bias = round(float(np.interp(masses[results.number[edit]], rising, biases)), 2)
        found.append(replace(edit, mode="upweight", strength=bias or 0.01))
    return found
