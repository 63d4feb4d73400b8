"""The tables and the figure of a comparison of presets.

Everything is made of the manifest and the records alone. The table of presets has one line for a
preset, or three; `effects.csv` has every edit that ran, single layers included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.files.csv_and_json import write_table
from tempo_attn.lab.figures.titles import in_order, title
from tempo_attn.lab.presets.figures import Mark, forest
from tempo_attn.lab.presets.table import Compared, Line, lines_of, to_rows
from tempo_attn.lab.report import Report
from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.sweep import table as sweep_table
from tempo_attn.lab.sweep.adaptive import composed, constituents, takes_low
from tempo_attn.lab.sweep.effects import Effect, effects
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.write import summary, write_effects


@dataclass(frozen=True)
class _Settings:
    """Settings of a comparison that its tables depend on: the presets, as JSON data."""

    presets: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class PresetsReport(Report):
    """What was written of a comparison of presets.

    Attributes:
        lines: The table of presets.
    """

    lines: Sequence[Line]


def write(run: Run) -> PresetsReport:
    """Write `presets.csv` and `presets.json`, a sweep's tables, and the figure."""
    settings = run.manifest.settings
    entries = [Compared.from_dict(entry) for entry in settings.own(_Settings).presets]
    adaptive = [entry.own for entry in entries if entry.own.adaptive is not None]
    results = composed(SweepResults.of_run(run), adaptive)
    found = effects(results, seed=settings.seed)
    lines = lines_of(entries, results, found, settings.seed)
    about = {
        **summary(run, results),
        "presets": [_about(entry, results) for entry in entries],
        "notes": _notes(entries),
    }
    rows = [
        {**_presets_of(effect, entries), **row}
        for effect, row in zip(found, sweep_table.to_rows(found), strict=True)
    ]
    files = [
        *write_table(run.folder / "presets", to_rows(lines)),
        *write_effects(run.folder, rows, about),
        *forest(_marks(lines), run.folder / "presets"),
    ]
    return PresetsReport(lines=lines, summary=about, files=files)


def _presets_of(effect: Effect, entries: Sequence[Compared]) -> dict[str, Any]:
    """Return which presets an effect is of, and the strengths of an adaptive one."""
    variant = effect.variant
    names = [entry.preset for entry in entries if variant in entry.edits]
    for entry in entries:
        if entry.own.adaptive is not None and variant in constituents(entry.own):
            which = ("low", "high")[constituents(entry.own).index(variant)]
            names.append(f"{entry.preset} ({which} alone)")
    rule = variant.adaptive
    words = None if rule is None else f"{rule[1]:g} below {rule[0]:g}, else {rule[2]:g}"
    return {"preset": "+".join(names), "adaptive": words}


def _about(entry: Compared, results: SweepResults) -> dict[str, Any]:
    """Return what a reader must know of a preset: its configuration, and where it comes from."""
    about: dict[str, Any] = {
        "preset": entry.preset,
        "label": entry.label,
        "layers": entry.layers,
        "single_layers": len(entry.edits) if len(entry.edits) > 1 else None,
        "prefill_part_only": entry.every_step,
        "config": dict(entry.config),
    }
    if entry.own.adaptive is not None:
        about["items_with_low"] = int(takes_low(results, entry.own).sum())
    return about


def _notes(entries: Sequence[Compared]) -> list[str]:
    """Return what the numbers leave out."""
    notes = [
        "The answer is the letter with the highest logit after one prefill. Effects are against "
        "the same rows recomputed without a change; intervals are 95 %, paired, by cluster; p is "
        "McNemar's, Holm-corrected over all edits and kinds of a condition, single layers included."
    ]
    steps = [entry.label for entry in entries if entry.every_step]
    if steps:
        notes.append(
            f"{', '.join(steps)}: the source edits every decoding step, too; only the prefill "
            "part is compared."
        )
    if any(len(entry.edits) > 1 for entry in entries):
        notes.append(
            "best of N layers: chosen on these very items, so its change is too good. Claim "
            "nothing from it: `tempo choose` chooses on other clusters than it reports on."
        )
    if any(entry.preset == "upweighting" for entry in entries):
        notes.append(
            "upweighting: a bias of each row and head that gives audio the mass of scaling by the "
            "alpha in its name; the paper's own biases are not known."
        )
    if any(entry.preset == "knockout" for entry in entries):
        notes.append(
            "knockout: it has no sign to draw; its null is as many text keys knocked out, or all "
            "but the row's own where there are fewer."
        )
    return notes


def _marks(lines: Sequence[Line]) -> dict[str, list[Mark]]:
    """Return what the figure shows: by panel, the lines of one kind and condition."""
    panels: dict[tuple[str, str], list[Line]] = {}
    for column in in_order((line.effect.kind, line.effect.condition) for line in lines):
        panels[column] = []
    for line in lines:
        panels[line.effect.kind, line.effect.condition].append(line)
    return {
        title(column, [str(some[0].effect.n), f"{some[0].effect.n_clusters} clusters"]): [
            _mark(line) for line in some
        ]
        for column, some in panels.items()
    }


def _mark(line: Line) -> Mark:
    _, null = line.null or (None, None)
    return Mark(
        label=line.label,
        change=line.effect.change,
        interval=line.effect.interval,
        null=None if null is None else null.change,
        null_interval=None if null is None else null.interval,
        hollow=line.chosen_here,
    )
