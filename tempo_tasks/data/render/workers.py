"""Work on many files in several processes: the same results in the same order as in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
_CHUNK = 8


def mapped(
    function: Callable[[Given], Made],
    given: Sequence[Given],
    *,
    workers: int,
    progress: bool,
    title: str,
    setup: Callable[..., None],
    setup_arguments: tuple[object, ...],
) -> Iterator[Made]:
    """Yield what a function makes of each, in order.

    Args:
        function: A function of a module: other processes import it.
        given: What it is called with.
        workers: Processes; with one, everything happens in this one.
        progress: Show a bar.
        title: Of the bar.
        setup: Is called once in each process first.
        setup_arguments: With these.
    """
    from tqdm import tqdm

    bar = tqdm(total=len(given), desc=title, disable=not progress)
    with bar:
        if workers == 1 or len(given) < 2 * _CHUNK:
            setup(*setup_arguments)
            for one in given:
                yield function(one)
                bar.update()
            return
        # Not forked: locks of threads (of NumPy's and others') would be copied as they stand.
        with ProcessPoolExecutor(
            workers, get_context("spawn"), initializer=setup, initargs=setup_arguments
        ) as pool:
            try:
                for made in pool.map(function, given, chunksize=_CHUNK):
                    yield made
                    bar.update()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
