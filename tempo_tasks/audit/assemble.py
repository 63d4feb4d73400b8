"""One audit put together: what the results say of each part (see `parts`), as plain JSON types.

Shares are between 0 and 1, times in seconds. The table, the page and the CSV are made of it alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempo_attn.errors import OptionError
from tempo_attn.statistics import holm
from tempo_tasks import __version__
from tempo_tasks.audit.ceiling import Simulation, pooled, sigma_for
from tempo_tasks.audit.item_arrays import Items
from tempo_tasks.audit.letter_order import letter_order
from tempo_tasks.audit.overlap import between, contamination, within
from tempo_tasks.audit.parts import ALL, Part, parts_of
from tempo_tasks.audit.priors import label_balance
from tempo_tasks.audit.strategies import Earned
from tempo_tasks.audit.training import TrainingList
from tempo_tasks.audit.verdict import verdict
from tempo_tasks.errors import DataVersionError
from tempo_tasks.questions.questions import fingerprint
from tempo_tasks.questions.strata import bins_of, strata_of, tests_time
from tempo_tasks.sources.without_audio import Fault, PlainSet
from tempo_tasks.stats.clustered_estimates import ClusterSums, chance_p, share_interval

FORMAT = 1
CHANCE = 0.25
SIGMAS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
REACH = (0.9, 0.8, 0.7, 0.6)
# Digits of shares and seconds in the results: more than the simulation knows, and the same on
# every machine.
_DIGITS = 6

Result = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What an audit depends on besides the data.

    Attributes:
        sigmas: Timing errors to try, seconds.
        reach: Accuracies to find the timing error of.
        seed: Seed of the folds and simulations.
    """

    sigmas: Sequence[float] = SIGMAS
    reach: Sequence[float] = REACH
    seed: int = 0

    def __post_init__(self) -> None:
        for sigma in self.sigmas:
            if not (math.isfinite(sigma) and sigma >= 0):
                raise OptionError(f"sigma is {sigma}; expected seconds, 0 or more, such as 0.5")
        for share in self.reach:
            if not 0 < share < 1:
                raise OptionError(f"accuracy is {100 * share:g} %; expected between 0 and 100")
        if self.seed < 0:
            raise OptionError(f"seed is {self.seed}; expected 0 or more")


def audit(
    sets: Sequence[PlainSet],
    settings: Settings | None = None,
    *,
    against: Sequence[PlainSet] = (),
    training: Sequence[TrainingList] = (),
) -> Result:
    """Audit data sets.

    Args:
        sets: The data; names must differ.
        settings: Default: those of the command.
        against: Further data that must not share clips with these.
        training: Lists of training clips.

    Returns:
        `settings`; `data`, what was read; `parts`, for each kind of each data set, and, where there
        are several, for all of a set and for all: `shortcuts`, `in_clip`, `strata`, `ceiling`,
        `verdict`, and for single kinds `letters` and `labels`; `doubles` within and between sets;
        `contamination`.

    Raises:
        DataVersionError: Intervals are given, and hold none of the clips.
    """
    settings = settings or Settings()
    _refuse_foreign("intervals", [(plain, plain.clips) for plain in sets])
    _refuse_foreign("captions", [(plain, plain.captions) for plain in sets])
    result = {
        "format": FORMAT,
        "version": __version__,
        "settings": {
            "sigmas": list(settings.sigmas),
            "reach": list(settings.reach),
            "seed": settings.seed,
        },
        "data": [_about(plain) for plain in sets],
        "against": [_about(plain) for plain in against],
        "parts": [_column(part, settings) for part in parts_of(sets, settings.seed)],
        "doubles": {
            "within": [{"data": plain.name, "levels": within(plain)} for plain in sets],
            "between": [
                {"data": one.name, "other": other.name, "levels": between(one, other)}
                for number, one in enumerate(sets)
                for other in [*sets[number + 1 :], *against]
            ],
        },
        "contamination": [contamination(plain, found) for plain in sets for found in training],
    }
    rounded: Result = _rounded(result)
    return rounded


def _refuse_foreign(what: str, told: Sequence[tuple[PlainSet, Mapping[str, Any]]]) -> None:
    """Refuse intervals or captions of other clips only: a wrong file, or other filenames."""
    given = [(plain, of_clip) for plain, of_clip in told if of_clip]
    if given and not any(q.clip_id in of_clip for plain, of_clip in given for q in plain.questions):
        plain, of_clip = given[0]
        raise DataVersionError(
            f"{plain.name}: none of its clips is in the {what} (which have "
            f"{next(iter(of_clip))}, ...); expected the same filenames, such as "
            f"{plain.questions[0].clip_id}"
        )


def _about(plain: PlainSet) -> Result:
    clips = {q.clip_id for q in plain.questions}
    return {
        "name": plain.name,
        "fingerprint": fingerprint(plain.questions),
        "n": len(plain.questions),
        "n_clips": len(clips),
        "n_clusters": len({q.cluster for q in plain.questions}),
        "kinds": {kind.value: len(plain.of_kind(kind)) for kind in plain.kinds},
        "clips_with_intervals": len(clips & set(plain.clips)),
        "clips_with_captions": len(clips & set(plain.captions)),
        "faults": [_fault(fault) for fault in plain.faults],
    }


def _fault(fault: Fault) -> Result:
    """Return the fields of a row that is no question."""
    return {"where": fault.where, "row": fault.row, "what": fault.what}


def _column(part: Part, settings: Settings) -> Result:
    shortcuts = _shortcuts(part.earned)
    docs = [_strata_of(items, place) for items in part.items for place in range(len(items))]
    timed = [answer for doc in docs if (answer := tests_time(doc)) is not None]
    names = np.concatenate([items.cluster_names for items in part.items])
    single = part.items[0] if part.kind != ALL else None
    return {
        "data": part.data,
        "kind": part.kind,
        "n": len(docs),
        "n_clips": len({q.clip_id for items in part.items for q in items.questions}),
        "n_clusters": len(set(names)),
        "verdict": verdict(shortcuts, timed),
        "shortcuts": shortcuts,
        "strata": _strata(docs),
        "ceiling": _ceiling(part.simulations, settings) if part.simulations else None,
        "letters": letter_order(single) if single else None,
        "labels": label_balance(single, settings.seed) if single else None,
    }


def _strata_of(items: Items, place: int) -> Result:
    """Return the strata of an item, by name."""
    found = strata_of(items.questions[place], items.clips[place])
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


def _shortcuts(earned: Iterable[Earned]) -> list[Result]:
    rows = [_row(found) for found in earned]
    tested = [row for row in rows if row["p"] is not None]
    for row in rows:
        row["p_holm"] = None
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p
    return rows


def _row(found: Earned) -> Result:
    sums = ClusterSums.of(found.credit, found.clusters.tolist())
    ends = share_interval(sums)
    decided = found.credit[found.decided]
    return {
        "strategy": found.strategy.name,
        "family": found.strategy.family,
        "accuracy": float(sums.mean),
        "low": _known(np.round(ends.low, _DIGITS)),  # rounding leaves 1e-18 for 0
        "high": _known(np.round(ends.high, _DIGITS)),
        "error": _known(sums.error),
        "p": _known(chance_p(sums, CHANCE)),
        "n": sums.n,
        "n_clusters": sums.n_clusters,
        "coverage": float(found.decided.mean()),
        "accuracy_decided": float(decided.mean()) if len(decided) else None,
        "fair": found.strategy.fair,
        "hears_no_time": found.strategy.hears_no_time,
        "meaning": found.strategy.meaning,
    }


def _known(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _strata(docs: Sequence[Mapping[str, Any]]) -> Result:
    """Return for each stratum its bins, in ascending order: `n` items and their share."""
    found: dict[str, dict[str, list[float]]] = {}
    for doc in docs:
        for stratum, name in bins_of(doc).items():
            found.setdefault(stratum, {}).setdefault(name, []).append(doc[stratum])
    result: Result = {}
    for stratum, bins in found.items():
        total = sum(map(len, bins.values()))
        ordered = sorted(bins.items(), key=lambda named: min(named[1]))
        result[stratum] = {
            name: {"n": len(values), "share": len(values) / total} for name, values in ordered
        }
    return result


def _ceiling(simulations: Sequence[Simulation], settings: Settings) -> Result:
    sizes = [simulation.n for simulation in simulations]
    points = [simulation.accuracy(settings.sigmas) for simulation in simulations]
    curve = pooled([simulation.curve for simulation in simulations], sizes)
    return {
        "n": sum(sizes),
        "points": [vars(point) for point in pooled(points, sizes)],
        "curve": [vars(point) for point in curve],
        "reach": [
            {"accuracy": share, "sigma": sigma_for(curve, share)} for share in settings.reach
        ],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if abs(value) < 1e-4 else round(value, _DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(found) for key, found in value.items()}
    if isinstance(value, list):
        return [_rounded(found) for found in value]
    return value
