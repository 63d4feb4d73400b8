"""Tables and the picture of `tempo compare --presets`, and what the terminal shows of them.

Everything is made of the manifest and the records alone, like the other verbs' files. The tables
have one line for a preset; `effects.csv` has every edit that ran, single layers included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tempo_attn.lab.figures.titles import in_order, title
from tempo_attn.lab.presets.figures import Mark, forest
from tempo_attn.lab.presets.table import Compared, Line, lines_of
from tempo_attn.lab.sweep.adaptive import composed, constituents, takes_low
from tempo_attn.lab.sweep.effects import Effect, effects
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.table import rounded, to_rows
from tempo_tasks.lab import report
from tempo_tasks.tables import write_csv, write_json

_WIDTH = 156  # letters of a line in the terminal


# ---------------------------------------------------------------------- files


def write_presets(folder: Path, manifest: Mapping[str, Any], results: SweepResults) -> list[Path]:
    """Write the tables and the picture of a comparison of presets, and show it."""
    entries = [Compared.from_dict(entry) for entry in manifest["settings"]["presets"]]
    seed = manifest["settings"]["seed"]
    adaptive = [entry.own for entry in entries if entry.own.adaptive is not None]
    results = composed(results, adaptive)
    found = effects(results, seed=seed)
    lines = lines_of(entries, results, found, seed)
    about = {
        **report.summary(manifest, results),
        "presets": [_about(entry, results) for entry in entries],
        "notes": _notes(entries),
    }
    rows = [
        {**_columns(effect, entries), **row}
        for effect, row in zip(found, to_rows(found), strict=True)
    ]
    table = [_flat(line) for line in lines]
    files = [
        write_csv(folder / "presets.csv", table),
        write_json(folder / "presets.json", table),
        write_csv(folder / "effects.csv", rows),
        write_json(folder / "effects.json", rows),
        write_json(folder / "summary.json", about),
        *forest(_marks(lines), folder / "presets"),
    ]
    _show(lines, about)
    return files


def _columns(effect: Effect, entries: Sequence[Compared]) -> dict[str, Any]:
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
        "the same rows recomputed without a change; intervals are 95 %, paired, by clip; p is "
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
            "nothing from it: `tempo fit` chooses on other clips than it reports on."
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


def _flat(line: Line) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in asdict(line).items():
        if name.endswith("interval"):
            stem = name.removesuffix("interval") or "change_"
            low, high = value or (None, None)
            row |= {f"{stem}low": rounded(low), f"{stem}high": rounded(high)}
        elif name in ("p", "p_holm"):  # small ones differ: 6 decimals would make them 0
            row[name] = None if value is None else float(f"{value:.6g}")
        else:
            row[name] = rounded(value)
    return row


def _marks(lines: Sequence[Line]) -> dict[str, list[Mark]]:
    panels: dict[str, list[Mark]] = {}
    columns = in_order((line.kind, line.condition) for line in lines)
    for column in dict.fromkeys(columns):
        of_panel = [line for line in lines if (line.kind, line.condition) == column]
        sizes = [str(of_panel[0].n), f"{of_panel[0].n_clusters} clips"]
        panels[title(column, sizes)] = [
            Mark(
                label=line.label,
                change=line.change,
                interval=line.interval,
                null=line.null_change,
                null_interval=line.null_interval,
                hollow=line.chosen_here,
            )
            for line in of_panel
        ]
    return panels


# ---------------------------------------------------------------------- terminal


def _show(lines: Sequence[Line], about: Mapping[str, Any]) -> None:
    console = Console(width=_WIDTH, markup=False)
    for condition, kind in dict.fromkeys((line.condition, line.kind) for line in lines):
        mine = [line for line in lines if (line.condition, line.kind) == (condition, kind)]
        one = mine[0]
        table = Table(
            title=f"{about['model']}, {title((kind, condition), [str(one.n)])}: "
            f"{100 * one.control_accuracy:.1f} % right without an edit",
            title_justify="left",
            box=SIMPLE_HEAD,
        )
        for name in ("preset", "layers", "rows"):
            fold = name == "layers"  # there may be many
            table.add_column(name, no_wrap=not fold, min_width=7 if fold else None)
        for name in ("acc %", "change, points", "p Holm", "fix %", "break %", "null"):
            table.add_column(name, justify="right", no_wrap=True)
        for name in ("mass, %", "entropy, nats"):
            table.add_column(name, justify="right", no_wrap=True)
        for line in mine:
            table.add_row(*_cells(line))
        console.print(table)
    if any("->" in line.of for line in lines):
        console.print("* Published for a decoder of another depth, and mapped:")
    for entry in about["presets"]:
        low = entry.get("items_with_low")
        words = "" if low is None else f"; {low} of {about['n']} items take the low strength"
        console.print(f"{entry['label']}: {entry['layers']}{words}.")
    for note in about["notes"]:
        console.print(note)
    report._show_about(about)


def _cells(line: Line) -> list[str]:
    low, high = line.interval
    return [
        ("  " if ": " in line.label else "")
        + line.label.split(": ")[-1]
        + (", chosen here" if line.chosen_here else ""),
        line.layers + ("*" if "->" in line.of else ""),
        line.rows,
        f"{100 * line.accuracy:.1f}",
        f"{100 * line.change:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
        "-" if line.p_holm is None else f"{line.p_holm:.3f}",
        _percent(line.fix_rate),
        _percent(line.break_rate),
        "-" if line.null_change is None else f"{100 * line.null_change:+.1f}",
        f"{_percent(line.mass_before)} > {_percent(line.mass_after)}",
        f"{_nats(line.entropy_before)} > {_nats(line.entropy_after)}",
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _nats(entropy: float | None) -> str:
    return "-" if entropy is None else f"{entropy:.2f}"
