"""Many bundles are validated: those that are not remembered, by several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from tempo_attn.errors import TempoError
from tempo_tasks.leaderboard.accepted import Accepted
from tempo_tasks.leaderboard.remembered import name_of, recall, remember
from tempo_tasks.submission.asked_documents import AskedData
from tempo_tasks.submission.validate import validate

Outcome = Accepted | list[str]
"""What is kept of an accepted bundle, or the faults of another."""
T = TypeVar("T")
Progress = Callable[[Sequence[T]], Iterable[T]]

A_PROCESS = 16
"""Bundles that are worth another process, which loads the data itself first."""
_data: list[AskedData] = []


def check_bundles(
    bundles: Sequence[Path],
    data: AskedData,
    cache: Path | None = None,
    workers: int = 1,
    progress: Progress[Path] = iter,
) -> Iterator[tuple[Path, Outcome]]:
    """Yield bundles with what was found, in their order.

    Args:
        bundles: Folders or zips.
        data: The data, and where they are.
        cache: Folder of accepted bundles that are remembered; None to validate all.
        workers: Processes at most.
        progress: Wraps the bundles, to show how far the work is.
    """
    names: dict[Path, str | None] = {}
    known: dict[Path, Accepted] = {}
    for bundle in bundles if cache else ():
        name = names[bundle] = name_of(bundle)
        if cache and name and (found := recall(cache, name, data)):
            known[bundle] = found
    new = [bundle for bundle in dict.fromkeys(bundles) if bundle not in known]
    outcomes = _validated(new, data, min(workers, 1 + len(new) // A_PROCESS))
    found_of: dict[Path, Outcome] = {**known}
    for bundle in progress(bundles):
        if bundle not in found_of:
            outcome = found_of[bundle] = next(outcomes)
            if cache and (name := names[bundle]) and isinstance(outcome, Accepted):
                remember(cache, name, outcome)
        yield bundle, found_of[bundle]


def _validated(bundles: Sequence[Path], data: AskedData, workers: int) -> Iterator[Outcome]:
    if workers <= 1:
        for bundle in bundles:
            yield _outcome(bundle, data)
        return
    # Not forked: torch and the readers of tables have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (data.without_loaded(),)) as pool:
        yield from pool.map(_outcome_of, bundles, chunksize=4)


def _start(data: AskedData) -> None:
    _data[:] = [data]


def _outcome_of(bundle: Path) -> Outcome:
    return _outcome(bundle, _data[0])


def _outcome(bundle: Path, data: AskedData) -> Outcome:
    try:
        verdict = validate(bundle, data)
    except TempoError as error:
        # Without the machine's path.
        return [str(error).removeprefix(f"{bundle}: ")]
    if not verdict.accepted:
        return [*verdict.faults, *verdict.unchecked]
    return Accepted.of(verdict)
