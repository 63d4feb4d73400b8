"""Batches of any requests, in a given order, halved where memory runs out (`batch_size=auto`)."""

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
    order: Sequence[int],
    batch_size: int,
    adaptive: bool,
    begin: Callable[[Sequence[T]], None] | None = None,
    n_ahead: int = 0,
) -> Iterator[tuple[int, R]]:
    """Run items in batches.

    Args:
        items: What to run.
        run: Runs one batch and returns a result for each item.
        order: Indices of the items in the order in which they are run; the longest come first, so
            that memory runs out at once.
        batch_size: Items a batch.
        adaptive: Halve the batch when memory runs out and go on; otherwise the error is raised.
        begin: Told of each batch once, some batches before it is run.
        n_ahead: How many batches before.

    Yields:
        The index of an item and its result, in the order of completion.
    """
    place = begun = 0
    while place < len(order):
        batch = order[place : place + batch_size]
        while begin is not None and begun < min(len(order), place + n_ahead * batch_size + 1):
            begin([items[index] for index in order[begun : begun + batch_size]])
            begun += batch_size
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
