"""What `tempo compare` does: scaling beside its two parts and a bias of the same audio mass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tempo_attn.lab.run_folder.folder import default_folder
from tempo_attn.lab.sweep.grid import Grid, Variant
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.modes import Mode, Null
from tempo_tasks.lab.options import LayerSets, parse_way
from tempo_tasks.lab.outcome import Outcome, written
from tempo_tasks.lab.study import Settings, Study
from tempo_tasks.lab.verbs import run_sweep

MATCHED: tuple[Mode, ...] = ("scale", "scale_preserving", "upweight_matched")
"""Scaling and its two parts: at the same alpha they agree on shape, or on mass, or on both."""
_BIASES = (-6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
_CALIBRATION_ITEMS = 32


def compare(
    settings: Settings,
    *,
    strengths: Sequence[float],
    layers: LayerSets,
    rows: Sequence[Sequence[str]],
    nulls: Sequence[Null] = ("sign",),
    way: str = "auto",
) -> Outcome | None:
    """Compare scaling with upweighting at matched audio mass.

    Beside scaling and its two parts, a constant bias, the same for all items, rows and heads, whose
    mean audio mass on the first items is that of scaling. These runs lie beside the run folder, in
    one of its name with `-calibration`.

    Args:
        settings: On what.
        strengths: alpha of the scaling.
        layers: As in `Grid`, like `rows` and `nulls`.
        rows: Sets of query rows.
        nulls: Random perturbations.
        way: As in `Sweeper`.

    Returns:
        None in a process that is not the one that writes tables.
    """
    parse_way(way)
    edits = {mode: tuple(strengths) for mode in MATCHED}
    grid = Grid(strengths=edits, layers=layers, rows=rows, nulls=nulls)
    study = Study(settings, lambda size: grid.variants(size.n_layers, size.n_heads))
    variants = grid.variants(study.n_layers, study.n_heads)
    scaled = [v for v in variants if v.mode == "scale" and v.role == "edit"]
    asked = {"variants": [variant.to_dict() for variant in variants], "way": way}
    folder = settings.out or default_folder(study.manifest("compare", asked))
    beside = folder.with_name(f"{folder.name}-calibration")
    biases = matching_biases(study.of_first(_CALIBRATION_ITEMS), scaled, way, beside)
    for bias in dict.fromkeys(biases):
        variants += [bias, *(bias.null(null) for null in nulls)]
    # The scaling that each bias stands beside, by number.
    matches = [
        [variants.index(edit), variants.index(bias)]
        for edit, bias in zip(scaled, biases, strict=True)
    ]
    run = run_sweep(study, variants, command="compare", way=way, out=folder, matches=matches)
    return written(study, run)


def matching_biases(study: Study, scaled: Sequence[Variant], way: str, out: Path) -> list[Variant]:
    """Return, for each scaling, the constant bias that gives audio the same mean mass.

    The mass is measured at some biases and interpolated between them; a mass beyond that of the
    largest bias gets that one. What mass a bias really has on all items is in the results.
    """
    probes = {
        edit.control: [replace(edit, mode="upweight", strength=bias) for bias in _BIASES]
        for edit in scaled
    }
    variants = [*probes, *scaled, *(probe for group in probes.values() for probe in group)]
    run = run_sweep(study, variants, command="calibration", way=way, out=out)
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
