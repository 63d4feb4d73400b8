"""Temporal IDs: class-centred mean states by time, and their path through two dimensions.

tau_k = E[h - mu_class | the event's time in bin k], with bins of 2.5 s (Primus & Widmer, "On
Temporal Binding in LALMs"). Few bins always lie near a plane, so the same is done with shuffled
times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tempo_attn.files.csv_and_json import table_number
from tempo_attn.lab.timeline.rows import EventRows
from tempo_attn.statistics import Array

SHUFFLES = 20


@dataclass(frozen=True)
class Bins:
    """Bins of time.

    Attributes:
        of: The bin of each event, (events,).
        edges: Where they begin and end, (bins + 1,): seconds, or shares of the clip.
    """

    of: Array
    edges: Array

    @classmethod
    def make(cls, rows: EventRows, seconds: float, relative: bool) -> Bins:
        """Cut time into bins of `seconds`, or each clip into as many as the longest one has."""
        time = rows.time("midpoint")
        n = max(1, int(np.ceil(rows.seconds.max() / seconds - 1e-9)))
        share = time / rows.seconds * n if relative else time / seconds
        edges = np.arange(n + 1) / n if relative else np.arange(n + 1) * seconds
        return cls(np.clip(share.astype(int), 0, n - 1), edges)

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.edges) - 1

    @property
    def counts(self) -> Array:
        """Events in each, (bins,)."""
        return np.bincount(self.of, minlength=self.n)


def class_centred(states: Array, labels: Array) -> Array:
    """Return states without the mean of their class, (events, width), float64."""
    _, number = np.unique(labels, return_inverse=True)
    sums = np.zeros((number.max() + 1, states.shape[1]))
    np.add.at(sums, number, states.astype(float))
    centred: Array = states - sums[number] / np.bincount(number)[number, None]
    return centred


def temporal_ids(centred: Array, of: Array, n: int) -> Array:
    """Return the mean of each bin, (bins, width); zeros where a bin has no event."""
    sums = np.zeros((n, centred.shape[1]))
    np.add.at(sums, of, centred)
    ids: Array = sums / np.maximum(np.bincount(of, minlength=n), 1)[:, None]
    return ids


def path(ids: Array, counts: Array) -> tuple[Array, Array]:
    """Return places of the bins in two principal components, and the share that each explains.

    Args:
        ids: (bins, width).
        counts: Events in each bin; empty ones have no part, and NaN for places.

    Returns:
        (bins, 2), with the first filled bin at lower values of the first component; and (2,).
    """
    filled = counts > 0
    places, shares = np.full((len(ids), 2), np.nan), np.zeros(2)
    if filled.sum() < 2:
        return places, shares
    middle = ids[filled] - ids[filled].mean(0)
    left, sizes, _ = np.linalg.svd(middle, full_matrices=False)
    k = min(2, len(sizes))
    found = np.zeros((len(middle), 2))
    found[:, :k] = left[:, :k] * sizes[:k]
    # The sign of a component is arbitrary: later is to the right, and the last one above.
    found *= np.where(found[-1] < found[0], -1.0, 1.0)
    places[filled] = found
    if (total := (sizes**2).sum()) > 0:
        shares[:k] = sizes[:k] ** 2 / total
    return places, shares


def describe(
    layer: int, centred: Array, bins: Bins, halves: Array, seed: int
) -> tuple[list[dict[str, Any]], dict[str, Any], Array]:
    """Return one layer's path, what is known of it, and its temporal IDs.

    Args:
        layer: The layer.
        centred: Class-centred states, (events, width).
        bins: The bins.
        halves: The half of the clips that each event is in, (events,), 0 or 1.
        seed: Seed of the shuffling.
    """
    ids = temporal_ids(centred, bins.of, bins.n)
    places, shares = path(ids, bins.counts)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(bins.of) for _ in range(SHUFFLES)]
    null = [path(temporal_ids(centred, of, bins.n), bins.counts)[1].sum() for of in orders]
    rows = [
        {
            "layer": layer,
            "bin": k,
            "start": table_number(bins.edges[k]),
            "end": table_number(bins.edges[k + 1]),
            "n": int(bins.counts[k]),
            "pc1": table_number(places[k, 0]),
            "pc2": table_number(places[k, 1]),
        }
        for k in range(bins.n)
    ]
    about = {
        "layer": layer,
        "explained": [table_number(share) for share in shares],
        "explained_by_two": table_number(shares.sum()),
        "explained_by_two_shuffled": table_number(float(np.mean(null))),
        "agreement_of_halves": table_number(_agreement(centred, bins.of, bins.n, halves)),
        "agreement_of_halves_shuffled": table_number(
            float(np.mean([_agreement(centred, of, bins.n, halves) for of in orders]))
        ),
    }
    return rows, about, ids


def _agreement(centred: Array, of: Array, n: int, halves: Array) -> float:
    """Return the correlation of the IDs of two halves of the clips, in bins that both fill."""
    filled = np.all([np.bincount(of[halves == half], minlength=n) > 0 for half in (0, 1)], 0)
    if filled.sum() < 2:
        return float("nan")
    one, other = (
        temporal_ids(centred[halves == half], of[halves == half], n)[filled] for half in (0, 1)
    )
    one, other = one - one.mean(0), other - other.mean(0)
    size = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / size) if size > 0 else float("nan")
