"""The looks of a run in panels, and how well the windows of each panel fit the events.

A panel is a kind, a condition, a set of query rows, a target and a reading. In it every layer and
head is a column, and every look (an item and an option) a row. Three things stand beside what the
windows get:

- chance: the mean over all windows of the same width in the same clip, which is exact;
- silence: the window that the same rows look at where the clip is silent;
- other clips: the windows that the same head looks at in other clips, laid into this one at the
  same relative place. Where neither events nor windows spread evenly over clips (the earliest
  event is early, a sink is at the start), chance is too low a bar, and this one is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tempo_attn.lab.item_records import is_right
from tempo_attn.lab.listen.records import NAME, READINGS, ByHead, ListenRecord, Look
from tempo_attn.lab.listen.windows import Windows
from tempo_attn.statistics import Array

RIGHT, OTHERS = "right", "others"
"""Targets: the right answer's event, and the events of the other options (of names alone)."""
PARTNERS = 500
"""Looks at other clips whose windows each look is compared with, at most; drawn by the seed."""


@dataclass(frozen=True)
class Panel:
    """One panel's looks.

    Attributes:
        labels: What they have in common.
        n_layers: Layers of the model.
        n_heads: Heads of a layer; in the columns the mean over them follows.
        clusters: The cluster of each look, (looks,), as numbers.
        right: Whether its item is answered right, (looks,) bool.
        windows: Of each look, all windows of its width against its event.
        starts: Where windows begin, (looks, layers * (heads + 1)); NaN for none.
        silent: Likewise under silence; None for changes.
        masses: Attention in the windows, of the shape of `starts`.
    """

    labels: dict[str, str]
    n_layers: int
    n_heads: int
    clusters: Array
    right: Array
    windows: Sequence[Windows]
    starts: Array
    silent: Array | None
    masses: Array

    def part(self, chosen: Array) -> Panel:
        """Return the panel of some of its looks, (looks,) bool."""
        return Panel(
            labels=self.labels,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            clusters=self.clusters[chosen],
            right=self.right[chosen],
            windows=[one for one, of_it in zip(self.windows, chosen, strict=True) if of_it],
            starts=self.starts[chosen],
            silent=None if self.silent is None else self.silent[chosen],
            masses=self.masses[chosen],
        )

    def at(self, starts: Array, what: str) -> Array:
        """Return a property of the windows that begin at some starts, of their shape."""
        return np.stack(
            [_picked(getattr(one, what), of) for one, of in zip(self.windows, starts, strict=True)]
        )

    def chance(self, what: str) -> Array:
        """Return the mean of a property over all windows of each look, (looks,)."""
        return np.array([getattr(one, what).mean() for one in self.windows])

    def other_clips(self, seed: int) -> Array:
        """Return the mean IoU of the windows of other clips, of the shape of `starts`.

        NaN where no other clip has one.
        """
        last = np.array([one.count - 1 for one in self.windows])
        with np.errstate(invalid="ignore", divide="ignore"):
            places = np.where(last[:, None] > 0, self.starts / last[:, None], np.nan)
        drawn = np.random.default_rng(seed).permutation(len(places))[:PARTNERS]
        found = np.full(self.starts.shape, np.nan)
        for look, one in enumerate(self.windows):
            partners = drawn[self.clusters[drawn] != self.clusters[look]]
            if len(partners):
                laid = np.rint(places[partners] * (one.count - 1))
                known = np.isfinite(laid)
                total = np.where(known, _picked(one.iou, laid), 0.0).sum(0)
                with np.errstate(invalid="ignore"):
                    found[look] = total / known.sum(0)
        return found


def panels(records: Sequence[ListenRecord]) -> list[Panel]:
    """Return the panels of a run, in the order of its records."""
    ordered = sorted(records, key=lambda record: record.index)
    looks: dict[tuple[str, ...], list[tuple[ListenRecord, Look]]] = {}
    for record in ordered:
        for look in record.looks:
            target = RIGHT if look.option == record.answer else OTHERS
            place = record.kind, record.condition, look.rows, target, look.reading
            looks.setdefault(place, []).append((record, look))
    names = ("kind", "condition", "rows", "target", "reading")
    order = list(dict.fromkeys((place[0], place[1]) for place in looks))
    found = sorted(
        looks,
        key=lambda p: (
            order.index((p[0], p[1])), READINGS.index(p[4]), p[2] != NAME, p[2], p[3] != RIGHT,
        ),
    )  # fmt: skip
    made = (_panel(dict(zip(names, place, strict=True)), looks[place]) for place in found)
    return [panel for panel in made if panel is not None]


def _panel(labels: dict[str, str], looks: Sequence[tuple[ListenRecord, Look]]) -> Panel | None:
    sizes = [len(heads) for _, look in looks for heads in look.starts if heads is not None]
    if not sizes:
        return None
    n_columns, n_layers = sizes[0], len(looks[0][1].starts)
    silent = [look.silent for _, look in looks]
    records = [record for record, _ in looks]
    return Panel(
        labels=labels,
        n_layers=n_layers,
        n_heads=n_columns - 1,
        clusters=np.unique([record.cluster for record in records], return_inverse=True)[1],
        right=np.array(
            [bool(is_right(np.array(r.plain), np.array(r.answer))) for r in records], dtype=bool
        ),
        windows=[
            Windows(record.events[look.option] or (), record.rate, record.n_positions, look.width)
            for record, look in looks
        ],
        starts=np.stack([_starts(look.starts, n_columns) for _, look in looks]),
        silent=None
        if labels["reading"] != "attention"
        else np.stack([_starts(one or [None] * n_layers, n_columns) for one in silent]),
        masses=np.stack([_numbers(look.masses, n_columns) for _, look in looks]),
    )


def _numbers(by_layer: Sequence[Sequence[float] | None], n_columns: int) -> Array:
    none = [np.nan] * n_columns
    return np.array([none if one is None else one for one in by_layer], dtype=float).ravel()


def _starts(by_layer: ByHead, n_columns: int) -> Array:
    starts = _numbers(by_layer, n_columns)
    starts[starts < 0] = np.nan
    return starts


def _picked(values: Array, starts: Array) -> Array:
    """Return the values at starts; NaN where a start is."""
    known = np.isfinite(starts)
    picked: Array = np.where(known, values[np.where(known, starts, 0).astype(int)], np.nan)
    return picked
