"""Items whose clips are to be put in order: which permutation is heard, and what is then right.

STAR-Bench's temporal part gives three clips of one recording in their true order and six options
("clip 2 -> clip 1 -> clip 3"); what is heard, and so the answer, is chosen when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations

from tempo_tasks.errors import QuestionError

_SUBTASKS = ("OSM", "ISSE", "TAO", "DSS", "ETC")


def _starbench(item_id: str, run: int, n_clips: int) -> tuple[int, ...]:
    """Return the authors' round robin over the six orders.

    `_perm_by_roundrobin` of ALMEval_code/datasets/starbench.py in github.com/InternLM/StarBench:
    the number of the item, the run and the place of its sub-task choose the order.
    """
    head, _, number = item_id.rpartition("_")
    subtask = head.rpartition("_")[2]
    if n_clips != 3 or subtask not in _SUBTASKS or not number.isdecimal():
        raise QuestionError(
            f"{n_clips} clips and the id {item_id!r}; expected 3, and an id that ends in "
            f"_<{'|'.join(_SUBTASKS)}>_<number>, from which the order is drawn"
        )
    orders = list(permutations(range(n_clips)))
    return orders[(int(number) + run + _SUBTASKS.index(subtask)) % len(orders)]


ORDERS: Mapping[str, Callable[[str, int, int], tuple[int, ...]]] = {"starbench": _starbench}
"""From an item's id, the run and the number of clips to the order in which the clips are heard."""


def reordered(
    rule: str, item_id: str, run: int, clips: Sequence[object], options: Sequence[str]
) -> tuple[list[object], str]:
    """Return the clips as they are heard, and the option that puts them right.

    Args:
        rule: A key of `ORDERS`.
        item_id: The item.
        run: Number of the run.
        clips: The clips in their true order.
        options: Texts such as "clip 2 -> clip 1 -> clip 3", which say which of the heard clips is
            first, second and third.

    Raises:
        QuestionError: No option names the right order, or more than one does.
    """
    heard = ORDERS[rule](item_id, run, len(clips))
    # What is the first clip in truth is heard at this place, and so on.
    places = [heard.index(true) + 1 for true in range(len(clips))]
    wanted = [str(place) for place in places]
    named = [["".join(filter(str.isdigit, part)) for part in o.split("->")] for o in options]
    if named.count(wanted) != 1:
        raise QuestionError(
            f"{named.count(wanted)} of the options {list(options)} name the order "
            f"{' -> '.join(wanted)}; expected one"
        )
    return [clips[true] for true in heard], options[named.index(wanted)]
