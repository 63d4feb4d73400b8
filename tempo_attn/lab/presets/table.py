"""The lines of a comparison of presets: one for each preset, kind and condition.

A preset whose source chose a layer for each model is run at every single one, and has two further
lines: the mean over layers, which chooses nothing, and the best of them, which looks too good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tempo_attn.lab.item_records import POOLED
from tempo_attn.lab.sweep.effects import Effect
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.modes import NULLS
from tempo_attn.statistics import Array, Interval, interval_of_mean


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A preset on the model under study, as the manifest holds it.

    Attributes:
        preset: Its name.
        label: Its name in tables.
        own: Its edit, at its own layers.
        edits: What is run for it: its own edit, or that at every single layer.
        layers: Its layers in words, and where they come from.
        every_step: Whether its source edits every decoding step, too.
        config: The configuration of its own edit, as published but for the layers.
    """

    preset: str
    label: str
    own: Variant
    edits: tuple[Variant, ...]
    layers: str
    every_step: bool
    config: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        edits = [edit.to_dict() for edit in self.edits]
        return {**vars(self), "own": self.own.to_dict(), "edits": edits}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Compared:
        """Read what `to_dict` wrote."""
        own, edits = Variant.from_dict(data["own"]), map(Variant.from_dict, data["edits"])
        return cls(**{**data, "own": own, "edits": tuple(edits)})


@dataclass(frozen=True, kw_only=True)
class Line:
    """A preset on the items of one kind and condition; rates are shares from 0 to 1.

    Attributes:
        preset: Its name.
        label: Its name in tables, with "mean of N layers" or "best of N layers".
        chosen_here: Whether its layer was chosen on these very items, so that it looks too good.
        layers: The edited layers.
        of: Where they come from, in words.
        rows: The edited rows.
        null: Which random perturbation it has beside it; None without one.

    The others are those of `Effect`; a mean over layers has no test, and its rates and means are
    those of its layers taken together.
    """

    condition: str
    kind: str
    preset: str
    label: str
    chosen_here: bool
    layers: str
    of: str
    rows: str
    n: int
    n_clusters: int
    control_accuracy: float
    accuracy: float
    change: float
    interval: Interval
    p: float | None
    p_holm: float | None
    fix_rate: float | None
    break_rate: float | None
    null: str | None
    null_change: float | None
    null_interval: Interval | None
    mass_before: float | None
    mass_after: float | None
    entropy_before: float | None
    entropy_after: float | None


_MEANS = ("mass_before", "mass_after", "entropy_before", "entropy_after")
_SHARED = (
    *("condition", "kind", "n", "n_clusters", "control_accuracy", "accuracy", "change", "interval"),
    *("p", "p_holm", "fix_rate", "break_rate", *_MEANS),
)


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers in words: `2-3,5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def layers_in_words(layers: Sequence[int]) -> str:
    """Return layers in words: `layer 4`, `layers 10-20`."""
    return f"layer{'s' if len(layers) > 1 else ''} {ranges(layers)}"


def lines_of(
    entries: Sequence[Compared], results: SweepResults, found: Sequence[Effect], seed: int
) -> list[Line]:
    """Return the table: for each kind and condition a line a preset.

    A preset that is run at every single layer has three: at its own layer, the mean over layers,
    and the best of them.
    """
    by_edit = {(e.condition, e.kind, e.variant): e for e in found}
    lines = []
    for condition, kind in dict.fromkeys((e.condition, e.kind) for e in found):
        for entry in entries:
            group = [by_edit[condition, kind, edit] for edit in entry.edits]
            own = by_edit[condition, kind, entry.own]
            lines.append(_line(entry, own, entry.label, entry.layers))
            if len(group) > 1:
                n = f"of {len(group)} layers"
                lines.append(_mean(entry, group, results, seed, f"{entry.label}: mean {n}"))
                # Of layers with the same change the one that moves the margin most.
                best = max(group, key=lambda e: (e.change, e.margin_change))
                label = f"{entry.label}: best {n}"
                lines.append(_line(entry, best, label, "one at a time", chosen_here=True))
    return lines


def _line(
    entry: Compared, effect: Effect, label: str, of: str, *, chosen_here: bool = False
) -> Line:
    kind = next((kind for kind in NULLS if kind in effect.nulls), None)
    null = None if kind is None else effect.nulls[kind]
    return Line(
        preset=entry.preset,
        label=label,
        chosen_here=chosen_here,
        layers=ranges(effect.variant.layers),
        of=of,
        rows="+".join(effect.variant.rows),
        null=kind,
        null_change=None if null is None else null.change,
        null_interval=None if null is None else null.interval,
        **{name: getattr(effect, name) for name in _SHARED},
    )


def _mean(
    entry: Compared, group: Sequence[Effect], results: SweepResults, seed: int, label: str
) -> Line:
    """Return the mean over single layers, its interval by clip of the items' means."""
    one = group[0]
    items = results.where(None if one.kind == POOLED else one.kind, one.condition)
    right, clips = results.right[items].astype(float), results.clusters[items]
    edits = [effect.variant for effect in group]
    controls = [edit.control for edit in edits]

    def change(variants: Sequence[Variant]) -> tuple[float, Interval]:
        after, before = (_columns_of(results, right, some) for some in (variants, controls))
        values = (after - before).mean(1, keepdims=True)
        (ends,) = interval_of_mean(values, clips, seed=seed).tolist()
        return float(values.mean()), (ends[0], ends[1])

    kind = next((kind for kind in NULLS if kind in one.nulls), None)
    null = (None, None) if kind is None else change([edit.null(kind) for edit in edits])
    wrong = sum(round(e.n * (1 - e.control_accuracy)) for e in group)
    correct = len(group) * one.n - wrong
    mean, interval = change(edits)
    return Line(
        condition=one.condition,
        kind=one.kind,
        preset=entry.preset,
        label=label,
        chosen_here=False,
        layers=ranges(layer for edit in edits for layer in edit.layers),
        of="one at a time",
        rows="+".join(one.variant.rows),
        n=one.n,
        n_clusters=one.n_clusters,
        control_accuracy=fmean(e.control_accuracy for e in group),
        accuracy=fmean(e.accuracy for e in group),
        change=mean,
        interval=interval,
        p=None,
        p_holm=None,
        fix_rate=sum(e.fixed for e in group) / wrong if wrong else None,
        break_rate=sum(e.broken for e in group) / correct if correct else None,
        null=kind,
        null_change=null[0],
        null_interval=null[1],
        **{name: _mean_of(group, name) for name in _MEANS},
    )


def _columns_of(results: SweepResults, right: Array, variants: Sequence[Variant]) -> Array:
    columns: Array = right[:, [results.number[variant] for variant in variants]]
    return columns


def _mean_of(group: Sequence[Effect], name: str) -> float | None:
    values = [getattr(effect, name) for effect in group if getattr(effect, name) is not None]
    return fmean(values) if values else None
