"""The lines of a comparison of presets: one for each preset, kind and condition.

A preset whose source chose a layer for each model is run at every single one, and has two further
lines: the mean over layers, which chooses nothing, and the best of them, which looks too good.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from tempo_attn.lab.item_records import POOLED
from tempo_attn.lab.sweep.effects import Effect, Null
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.table import columns, rounded
from tempo_attn.modes import NULLS
from tempo_attn.statistics import Interval, interval_of_mean


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A preset on the model under study, as the manifest holds it.

    Attributes:
        preset: The preset's name.
        label: The preset's name in tables.
        own: The preset's edit, at its own layers.
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
        """Return the preset as JSON data."""
        edits = [edit.to_dict() for edit in self.edits]
        return {**vars(self), "own": self.own.to_dict(), "edits": edits}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Compared:
        """Read what `to_dict` wrote."""
        own, edits = Variant.from_dict(data["own"]), map(Variant.from_dict, data["edits"])
        return cls(**{**data, "own": own, "edits": tuple(edits)})


@dataclass(frozen=True, kw_only=True)
class Line:
    """A preset on the items of one kind and condition.

    Attributes:
        preset: The preset's name.
        label: Its name in tables, with "mean of N layers" or "best of N layers".
        layers: The edited layers: "2-3,5".
        of: Where the layers come from, in words.
        effect: What the edit does; for a mean over layers see `mean_effect`.
        chosen_here: Whether its layer was chosen on these very items, so that it looks too good.
    """

    preset: str
    label: str
    layers: str
    of: str
    effect: Effect
    chosen_here: bool = False

    @property
    def null(self) -> tuple[str, Null] | None:
        """The random perturbation beside it, after its kind; None without one."""
        nulls = self.effect.nulls
        return next(((kind, nulls[kind]) for kind in NULLS if kind in nulls), None)


_NUMBERS = (
    *("n", "n_clusters", "control_accuracy", "accuracy", "change", "interval", "p", "p_holm"),
    *("fix_rate", "break_rate"),
)
_MEANS = ("mass_before", "mass_after", "entropy_before", "entropy_after")
_UNKNOWN = (math.nan, math.nan)


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

    Args:
        entries: The presets.
        results: What their edits were run as, with adaptive edits composed.
        found: The effects of `results`.
        seed: Seed of the bootstrap resamples.
    """
    by_edit = {(e.condition, e.kind, e.variant): e for e in found}
    lines = []
    for condition, kind in dict.fromkeys((e.condition, e.kind) for e in found):
        for entry in entries:
            own = by_edit[condition, kind, entry.own]
            lines.append(_line(entry, entry.label, [own], own, of=entry.layers))
            group = [by_edit[condition, kind, edit] for edit in entry.edits]
            if len(group) > 1:
                mean = mean_effect(group, results, seed)
                # Of layers with the same change the one that moves the margin most.
                best = max(group, key=lambda e: (e.change, e.margin_change))
                label = f"of {len(group)} layers"
                lines += [
                    _line(entry, f"{entry.label}: mean {label}", group, mean),
                    _line(entry, f"{entry.label}: best {label}", [best], best, chosen_here=True),
                ]
    return lines


def _line(
    entry: Compared,
    label: str,
    group: Sequence[Effect],
    effect: Effect,
    *,
    of: str = "one at a time",
    chosen_here: bool = False,
) -> Line:
    return Line(
        preset=entry.preset,
        label=label,
        layers=ranges(layer for one in group for layer in one.variant.layers),
        of=of,
        effect=effect,
        chosen_here=chosen_here,
    )


def mean_effect(group: Sequence[Effect], results: SweepResults, seed: int) -> Effect:
    """Return the mean of an edit's effects at several layers, which chooses none of them.

    Changes are means over layers, with intervals of the items' means by cluster; the fix rate and
    the break rate are those of all layers taken together. What has no meaning for a mean (tests,
    the margin) is NaN or None, and the variant is the first layer's.

    Args:
        group: The effects, all on the same items.
        results: What they are of.
        seed: Seed of the bootstrap resamples.
    """
    one = group[0]
    items = results.where(None if one.kind == POOLED else one.kind, one.condition)
    right, clips = results.right[items].astype(float), results.clusters[items]
    edits = [effect.variant for effect in group]

    def change(variants: Sequence[Variant]) -> tuple[float, Interval]:
        after = right[:, [results.number[variant] for variant in variants]]
        before = right[:, [results.number[edit.control] for edit in edits]]
        values = (after - before).mean(1, keepdims=True)
        (ends,) = interval_of_mean(values, clips, seed=seed).tolist()
        return float(values.mean()), (ends[0], ends[1])

    mean, interval = change(edits)
    nulls: dict[str, Null] = {}
    for kind in (kind for kind in NULLS if kind in one.nulls):
        null, ends = change([edit.null(kind) for edit in edits])
        nulls[kind] = Null(
            change=null,
            interval=ends,
            fix_rate=None,
            break_rate=None,
            excess=mean - null,
            excess_interval=_UNKNOWN,
        )
    wrong = sum(round(e.n * (1 - e.control_accuracy)) for e in group)
    correct = len(group) * one.n - wrong
    fixed, broken = sum(e.fixed for e in group), sum(e.broken for e in group)
    return replace(
        one,
        control_accuracy=fmean(e.control_accuracy for e in group),
        accuracy=fmean(e.accuracy for e in group),
        change=mean,
        interval=interval,
        p=math.nan,
        p_holm=math.nan,
        fixed=fixed,
        broken=broken,
        fix_rate=fixed / wrong if wrong else None,
        break_rate=broken / correct if correct else None,
        switched=sum(e.switched for e in group),
        p_switched=None,
        margin_change=math.nan,
        margin_interval=_UNKNOWN,
        nulls=nulls,
        mass_before=_mean_of(e.mass_before for e in group),
        mass_after=_mean_of(e.mass_after for e in group),
        entropy_before=_mean_of(e.entropy_before for e in group),
        entropy_after=_mean_of(e.entropy_after for e in group),
    )


def _mean_of(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None


def to_rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return lines as flat rows for JSON or CSV, rounded as the rows of a sweep's effects."""
    return [_row(line) for line in lines]


def _row(line: Line) -> dict[str, Any]:
    effect, (kind, null) = line.effect, line.null or (None, None)
    row: dict[str, Any] = {
        "condition": effect.condition,
        "kind": effect.kind,
        "preset": line.preset,
        "label": line.label,
        "chosen_here": line.chosen_here,
        "layers": line.layers,
        "of": line.of,
        "rows": "+".join(effect.variant.rows),
    }
    for name in _NUMBERS:
        row |= columns("", name, getattr(effect, name))
    low, high = (None, None) if null is None else null.interval
    row |= {
        "null": kind,
        "null_change": None if null is None else rounded(null.change),
        "null_low": rounded(low),
        "null_high": rounded(high),
    }
    for name in _MEANS:
        row |= columns("", name, getattr(effect, name))
    return row
