"""Batches of any requests: longest first, halved where memory runs out under `batch_size=auto`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

T = TypeVar("T")
R = TypeVar("R")
_log = logging.getLogger(__name__)


def run_in_batches(
    items: Sequence[T],
    run: Callable[[Sequence[T]], list[R]],
    *,
    length: Callable[[T], int],
    batch_size: int,
    adaptive: bool,
) -> Iterator[tuple[int, R]]:
    """Run items in batches of like length, the longest first so that memory runs out at once.

    Args:
        items: What to run.
        run: Runs one batch and returns a result for each item.
        length: Rough length of an item, in tokens.
        batch_size: Items a batch.
        adaptive: Halve the batch when memory runs out and go on; otherwise the error is raised.

    Yields:
        The index of an item and its result, in the order of completion.
    """
    order = sorted(range(len(items)), key=lambda index: -length(items[index]))
    place = 0
    while place < len(order):
        batch = order[place : place + batch_size]
        try:
            results = run([items[index] for index in batch])
        except RuntimeError as error:
            if not (adaptive and len(batch) > 1 and should_reduce_batch_size(error)):
                raise
            batch_size = len(batch) // 2
            _log.warning("out of memory: batch size halved to %d", batch_size)
        else:
            yield from zip(batch, results, strict=True)
            place += len(batch)
            continue
        # Outside the except block, where the error still held the batch's tensors.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
