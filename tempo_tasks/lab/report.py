"""Tables and pictures of a run folder, and what the terminal shows of them.

Everything is made of the records alone, so equal records give equal files, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tempo_attn.errors import ConfigError
from tempo_attn.lab.item_records import POOLED
from tempo_attn.lab.mass.figures import mass_by_layer
from tempo_attn.lab.sweep.checks import agreement, largest_control_difference
from tempo_attn.lab.sweep.choose import Choice
from tempo_attn.lab.sweep.effects import Effect, effects
from tempo_attn.lab.sweep.figures import heat_map, layer_curves, mass_against_change
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.table import to_rows
from tempo_attn.modes import Mode
from tempo_tasks.tables import write_csv, write_json

_SHOWN = 5  # edits of each group in the terminal


# ---------------------------------------------------------------------- sweep and compare


def write_sweep(folder: Path, manifest: Mapping[str, Any], results: SweepResults) -> list[Path]:
    """Write `effects.csv`, `effects.json`, `summary.json` and the pictures, and show the best."""
    found = effects(results, seed=manifest["settings"]["seed"])
    files = [*_write_effects(folder, manifest, results, found)]
    if any(len(effect.variant.layers) == 1 for effect in found):
        files += layer_curves(found, folder / "layers")
        files += heat_map(found, folder / "heatmap")
    _show(found, summary(manifest, results))
    return files


def write_compare(folder: Path, manifest: Mapping[str, Any], results: SweepResults) -> list[Path]:
    """Write the same tables and the picture of mass against accuracy."""
    found = effects(results, seed=manifest["settings"]["seed"])
    files = [*_write_effects(folder, manifest, results, found)]
    files += mass_against_change(found, folder / "mass")
    pairs = [[results.variants[n] for n in pair] for pair in manifest["settings"]["matches"]]
    _show_parts(found, pairs)
    _show_about(summary(manifest, results))
    return files


def _write_effects(
    folder: Path,
    manifest: Mapping[str, Any],
    results: SweepResults,
    found: Sequence[Effect],
) -> list[Path]:
    rows = to_rows(found)
    return [
        write_csv(folder / "effects.csv", rows),
        write_json(folder / "effects.json", rows),
        write_json(folder / "summary.json", summary(manifest, results)),
    ]


def summary(manifest: Mapping[str, Any], results: SweepResults) -> dict[str, Any]:
    """Return what a reader must know of a sweep before its effects."""
    agreed = agreement(results)
    control = largest_control_difference(results)
    return {
        "verb": manifest["verb"],
        "model": manifest["fingerprints"]["model"]["name"],
        "tasks": manifest["settings"]["tasks"],
        "n": len(results.records),
        "n_clusters": len(set(results.clusters.tolist())),
        "n_variants": len(results.variants),
        "plain_accuracy": round(float(results.plain_right.mean()), 6),
        "way": sorted({record.engine for record in results.records}),
        "generation": vars(agreed),
        "recomputed_control": vars(control),
    }


def _show(found: Sequence[Effect], about: Mapping[str, Any]) -> None:
    console = Console(width=120)
    table = Table(
        title=f"{about['model']}: change of accuracy, percentage points (95 % interval by clip)"
    )
    for column in ("items", "edit"):
        table.add_column(column)
    for column in (
        "acc. %",
        "change",
        "interval",
        "p Holm",
        "fix %",
        "break %",
        "random",
        "mass %",
    ):
        table.add_column(column, justify="right")
    groups = dict.fromkeys((effect.condition, effect.kind) for effect in found)
    for condition, kind in groups:
        mine = [e for e in found if (e.condition, e.kind) == (condition, kind)]
        ranked = sorted(mine, key=lambda effect: -effect.change)
        shown = ranked if len(ranked) <= 2 * _SHOWN else ranked[:_SHOWN] + ranked[-_SHOWN:]
        for number, effect in enumerate(shown):
            name = f"{'all kinds' if kind == POOLED else kind} {condition} ({effect.n})"
            table.add_row(name if number == 0 else "", *_cells(effect))
        table.add_section()
    console.print(table)
    _show_about(about)


def _show_parts(found: Sequence[Effect], pairs: Sequence[Sequence[Variant]]) -> None:
    """Show scaling beside its two parts and beside a constant bias of the same mean mass."""
    table = Table(title="change of accuracy, percentage points (audio mass of the edited rows, %)")
    for column in ("items", "rows", "layer", "alpha"):
        table.add_column(column)
    for column in (
        "scaling",
        "its shape, mass kept",
        "its mass, shape kept",
        "one bias, same mass",
    ):
        table.add_column(column, justify="right")
    by_variant = {(e.condition, e.kind, e.variant): e for e in found}
    groups = dict.fromkeys((effect.condition, effect.kind) for effect in found)
    for condition, kind in groups:
        rows = []
        for edit, bias in pairs:
            modes: tuple[Mode, ...] = ("scale", "scale_preserving", "upweight_matched")
            four = [*(replace(edit, mode=mode) for mode in modes), bias]
            rows.append([by_variant[condition, kind, variant] for variant in four])
        rows.sort(key=lambda row: -max(abs(effect.change) for effect in row))
        for number, row in enumerate(rows[: 4 * _SHOWN]):
            edit = row[0].variant
            name = f"{kind} {condition} ({row[0].n})" if number == 0 else ""
            layers = ",".join(map(str, edit.layers))
            cells = [f"{100 * e.change:+.1f} ({_percent(e.mass_after)})" for e in row]
            table.add_row(name, "+".join(edit.rows), layers, f"{edit.strength:g}", *cells)
        table.add_section()
    Console(width=120).print(table)


def _show_about(about: Mapping[str, Any]) -> None:
    console = Console(width=120)
    agreed, control = about["generation"], about["recomputed_control"]
    console.print(
        f"{about['n']} items of {about['n_clusters']} clips, {about['n_variants']} variants each "
        f"({' and '.join(about['way'])}); without an edit "
        f"{100 * about['plain_accuracy']:.1f} % are right."
    )
    if agreed["n"]:
        console.print(
            f"Generation names the letter with the highest logit for {agreed['n_agree']} of "
            f"{agreed['n']} items ({agreed['n_unparsed']} name none)."
        )
    console.print(
        f"Recomputing rows alone moves logits by at most {control['logits']:.1e} and "
        f"{control['n_changed']} answers; effects are against these controls."
    )


def _cells(effect: Effect) -> list[str]:
    null = effect.nulls.get("sign") or effect.nulls.get("keys")
    return [
        effect.variant.name,
        f"{100 * effect.accuracy:.1f}",
        f"{100 * effect.change:+.1f}",
        f"{100 * effect.interval[0]:+.1f} to {100 * effect.interval[1]:+.1f}",
        f"{effect.p_holm:.3f}",
        _percent(effect.fix_rate),
        _percent(effect.break_rate),
        "" if null is None else f"{100 * null.change:+.1f}",
        f"{_percent(effect.mass_before)} > {_percent(effect.mass_after)}",
    ]


def _points(change: float, low: float, high: float) -> str:
    return f"{100 * change:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


# ---------------------------------------------------------------------- share and fit


def write_shares(folder: Path, table: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write `shares.csv`, `shares.json` and the picture, and show the table."""
    if not table:
        raise ConfigError("there are no shares to write: the run has no items")
    drawn = [row for row in table if row["group"] in ("all", "right", "wrong")]
    shown = Table(title="attention on audio, % (95 % interval by clip)")
    for column in ("items", "rows", "layer"):
        shown.add_column(column)
    for column in ("audio", "interval", "first token", "right - wrong"):
        shown.add_column(column, justify="right")
    gaps = {_place(row): row for row in table if row["group"] == "right - wrong"}
    for row in table:
        if row["group"] == "all" and row["mass"] is not None:
            gap = gaps.get(_place(row))
            shown.add_row(
                f"{row['kind']} {row['condition']} ({row['n']})",
                row["rows"],
                str(row["layer"]),
                _percent(row["mass"]),
                f"{_percent(row['low'])} to {_percent(row['high'])}",
                _percent(row["first"]),
                "-" if gap is None else _points(*(gap[name] for name in ("mass", "low", "high"))),
            )
    Console(width=110).print(shown)
    return [
        write_csv(folder / "shares.csv", table),
        write_json(folder / "shares.json", list(table)),
        *mass_by_layer(drawn, folder / "shares"),
    ]


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("kind", "condition", "rows", "layer"))


def show_choice(choice: Choice, folder: Path | None) -> None:
    """Show what `tempo fit` chose and what it is worth."""
    console = Console(width=100, markup=False)  # a folder's name may look like markup
    low, high = choice.interval
    console.print(
        f"Chosen on all {choice.n} items of {choice.n_clusters} clips: "
        + (
            "no edit: none is better than leaving the model alone."
            if choice.variant is None
            else choice.variant.name
        )
    )
    console.print(
        f"On clips that it was not chosen on: {100 * choice.held_out:+.1f} points "
        f"({100 * low:+.1f} to {100 * high:+.1f}, 95 % by clip; p = {choice.p_procedure:.3f})."
    )
    console.print(
        f"On the very items that it was chosen on: {100 * choice.apparent:+.1f} points; the "
        f"difference, {100 * choice.optimism:+.1f}, is what choosing on the test items pretends."
    )
    if folder is None:
        console.print("Nothing is written: an edit that does not help is nothing to share.")
        return
    if not low > 0:
        console.print("The interval does not exclude zero: there is no evidence that it helps.")
    console.print(
        f"Written: {folder}. Evaluate it: lm_eval --model lalm --model_args attn_scale={folder} ..."
    )
