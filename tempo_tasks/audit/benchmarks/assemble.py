"""The audit of a benchmark's parts put together, as plain JSON types; shares are from 0 to 1."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tempo_attn.statistics import holm
from tempo_tasks import __version__
from tempo_tasks.audit.benchmarks.choice_arrays import ChoiceArrays
from tempo_tasks.audit.benchmarks.guesses import guesses
from tempo_tasks.audit.benchmarks.leaks import doubles, leaks
from tempo_tasks.audit.benchmarks.times import guessed_times
from tempo_tasks.audit.strategies import Earned
from tempo_tasks.questions.choice_items import ChoiceItem, letters_of
from tempo_tasks.sources.benchmarks.load import BenchmarkPart
from tempo_tasks.stats.clustered_estimates import ClusterSums, chance_p, share_interval

FORMAT = 1
_DIGITS = 6
_LEVEL = 0.05
_SHOWN = 10  # faults in the results

Result = dict[str, Any]


def audit_benchmark(parts: Sequence[BenchmarkPart]) -> Result:
    """Audit parts of one benchmark.

    Args:
        parts: The parts, without audio.

    Returns:
        `benchmark`, and for each of `parts`: what was read; `chance`; `shortcuts`, a row a
        strategy; `leaks`; `letters`; `verdict`. Parts that ask for a time have `times` instead of
        shortcuts.
    """
    first = parts[0]
    result = {
        "format": FORMAT,
        "version": __version__,
        "benchmark": {
            "name": first.description.name,
            "about": first.description.about,
            "data": first.name,
        },
        "parts": [_part(part) for part in parts],
    }
    rounded: Result = _rounded(result)
    return rounded


def _part(part: BenchmarkPart) -> Result:
    items = part.items
    about: Result = {
        "part": part.label,
        **part.about(),
        "fingerprint": part.fingerprint,
        "n_clusters": len({item.cluster for item in items}),
        "clips_in_a_prompt": _counted(len(item.clips) for item in items),
        "options": _counted(len(item.options) for item in items if item.options),
        "faults": [{"row": f.row, "what": f.what} for f in part.read.faults[:_SHOWN]],
    }
    if not items:
        return {**about, "verdict": "No row is an item."}
    if part.seconds:
        rows = guessed_times(items)
        best = max(rows, key=lambda row: row["within"]["1 s"]["share"])
        return {
            **about,
            "times": rows,
            "leaks": doubles(items),
            "verdict": (
                f"Without hearing, {best['strategy']} is within 1 s of "
                f"{100 * best['within']['1 s']['share']:.1f} % of the times, and "
                f"{best['seconds_error']:.2f} s off on average."
            ),
        }
    arrays = ChoiceArrays(items, dict(part.description.same_sound))
    rows = _rows(guesses(arrays), arrays)
    found = leaks(arrays)
    return {
        **about,
        "chance": arrays.chance,
        "shortcuts": rows,
        "letters": _letters(items),
        "leaks": found,
        "verdict": _verdict(rows, found, arrays.chance),
    }


def _counted(numbers: Any) -> dict[str, int]:
    return {str(value): n for value, n in sorted(Counter(numbers).items())}


def _rows(earned: Sequence[Earned], arrays: ChoiceArrays) -> list[Result]:
    rows = [_row(found, arrays) for found in earned]
    tested = [row for row in rows if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p
    return rows


def _row(found: Earned, arrays: ChoiceArrays) -> Result:
    sums = ClusterSums.of(found.credit, found.clusters.tolist())
    ends = share_interval(sums)
    decided = found.credit[found.decided]
    return {
        "strategy": found.strategy.name,
        "family": found.strategy.family,
        "accuracy": float(sums.mean),
        "low": _known(ends.low),
        "high": _known(ends.high),
        "p": _known(chance_p(sums, arrays.chance)),
        "p_holm": None,
        "n": sums.n,
        "n_clusters": sums.n_clusters,
        "coverage": float(found.decided.mean()) if sums.n else 0.0,
        "accuracy_decided": float(decided.mean()) if len(decided) else None,
        "fair": found.strategy.fair,
        "meaning": found.strategy.meaning,
    }


def _known(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _letters(items: Sequence[ChoiceItem]) -> Result:
    """Return how often each letter is right among the items with most common number of options."""
    from scipy import stats

    usual = Counter(len(item.options) for item in items).most_common(1)[0][0]
    same = [item for item in items if len(item.options) == usual]
    letters = letters_of(same[0].options)
    counts = [sum(item.answer == letter for item in same) for letter in letters]
    return {
        "options": usual,
        "n": len(same),
        "counts": dict(zip(letters, counts, strict=True)),
        "p_uniform": float(stats.chisquare(counts).pvalue),
    }


def beats_chance(row: Result, chance: float) -> bool:
    """Whether a strategy is above chance after Holm's correction over the part's strategies."""
    return bool(row["accuracy"] > chance and row["p_holm"] is not None and row["p_holm"] < _LEVEL)


def _verdict(rows: Sequence[Result], found: Sequence[Result], chance: float) -> str:
    deaf = [row for row in rows if row["fair"] and row["family"] != "presence"]
    best = max(
        [row for row in deaf if beats_chance(row, chance)] or deaf, key=lambda row: row["accuracy"]
    )
    score = f"{100 * best['accuracy']:.1f} %"
    if beats_chance(best, chance):
        text = f"A strategy that hears nothing, {best['strategy']}, has {score}"
    else:
        text = (
            "No strategy that hears nothing is above chance by more than chance; the best, "
            f"{best['strategy']}, has {score}"
        )
    text += f" (chance {100 * chance:.1f} %)."
    present = next((row for row in rows if row["family"] == "presence"), None)
    if present is not None:
        text += f" Knowing which sounds occur, not when: {100 * present['accuracy']:.1f} %."
    told = [
        f"{leak['name']} {leak['n']} of {leak['of']}"
        for leak in found
        if leak["n"] and leak["name"] in ("option_twice", "only_right_occurs", "right_absent")
    ]
    return text + (f" Items: {', '.join(told)}." if told else "")


def _rounded(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return float(f"{number:.{_DIGITS}g}") if abs(number) < 1e-4 else round(number, _DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(found) for key, found in value.items()}
    if isinstance(value, list):
        return [_rounded(found) for found in value]
    return value
