"""The plan of a quartet: four sounds that take turns in four patterns in time.

Scene j gives label i the pattern (i + j) mod 4. So each label is right once, in EO, in LO and in
LD; the four prompts are the same to the letter; and whatever does not hear time gives four times
the same answer and is right once: 25 %, by construction. `synth.quartets` and `recorded` make their
scenes by it.

Hearing the wrong thing about time does not help either. All events of a quartet have the same
number of intervals; and the first, the last and the longest event are the same one, two by two, in
a quarter of the quartets, so that "the longest one starts first" is right in 25 %, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tempo_tasks.errors import PlacementError
from tempo_tasks.questions.events import Clip, Event, Interval
from tempo_tasks.questions.questions import LETTERS, Kind, Question, right_event
from tempo_tasks.sources.synth.scene import MARGIN, seeded

Pattern = tuple[Interval, ...]
SIZE = 4
# By turns: which two of the first, the last and the longest event are one, if any; and the numbers
# of intervals to draw from. Only what pauses can be both first and last, and not the longest.
TURNS: tuple[tuple[frozenset[Kind], tuple[int, ...]], ...] = (
    (frozenset({Kind.EO, Kind.LO}), (2,)),
    (frozenset({Kind.EO, Kind.LD}), (1, 1, 2)),
    (frozenset({Kind.LO, Kind.LD}), (1, 1, 2)),
    (frozenset(), (1, 1, 2)),
)
_LOT, _TRIES = 24, 500
_BLOCK = 10


def draw_patterns(
    rng: np.random.RandomState,
    count: int,
    same: frozenset[Kind],
    draw: Callable[[np.random.RandomState, int], Pattern],
    *,
    allowed: Callable[[Sequence[Pattern]], bool] = lambda patterns: True,
    most_lots: int | None = None,
) -> list[Pattern]:
    """Draw four patterns that have a right answer to each kind of question.

    Args:
        rng: The source of chance.
        count: Intervals of each pattern.
        same: Which of the first, the last and the longest pattern are the same one.
        draw: Draws the intervals of one pattern, as `synth.scene.draw_intervals` does.
        allowed: Whether four patterns may be taken.
        most_lots: Give up after so many lots of 24 patterns; default: never.

    Raises:
        PlacementError: None fitted.
    """
    lots = 0
    while most_lots is None or lots < most_lots:
        lots += 1
        # Drawing is slow and few fours fit: many fours are tried from one lot.
        lot: list[Pattern] = []
        while len(lot) < _LOT:
            pattern = draw(rng, count)
            if len(pattern) == count:
                lot.append(pattern)
        for _ in range(_TRIES):
            patterns = [lot[place] for place in rng.permutation(_LOT)[:SIZE]]
            if _fits(patterns, same) and allowed(patterns):
                return patterns
    raise PlacementError(
        f"no four events of {count} intervals each fit in {lots * _TRIES:,} draws: use longer "
        "clips, or let more events sound at once"
    )


def _fits(patterns: Sequence[Pattern], same: frozenset[Kind]) -> bool:
    """Whether patterns have a right answer to each kind, and exactly these kinds share theirs."""
    # On plain numbers, and a hundredth more than the margin: this is asked for thousands of draws.
    ranks = {
        Kind.EO: [-pattern[0][0] for pattern in patterns],
        Kind.LO: [pattern[-1][1] for pattern in patterns],
        Kind.LD: [sum(end - start for start, end in pattern) for pattern in patterns],
    }
    first: dict[Kind, int] = {}
    for kind, rank in ranks.items():
        second, best = sorted(rank)[-2:]
        if best - second < MARGIN + 0.01:
            return False
        first[kind] = rank.index(best)
    shared = {k for k in Kind if any(first[k] == first[o] for o in Kind if o is not k)}
    return shared == same


def take_turns(name: str, labels: Sequence[str], patterns: Sequence[Pattern]) -> tuple[Clip, ...]:
    """Return the four clips of a quartet, named `<name>/0` to `<name>/3`."""
    return tuple(
        Clip(
            f"{name}/{turn}",
            tuple(Event(label, patterns[(p + turn) % SIZE]) for p, label in enumerate(labels)),
        )
        for turn in range(SIZE)
    )


def ask_quartets(
    quartets: Iterable[tuple[str, Sequence[Clip]]], kind: Kind, block_name: Callable[[int], str]
) -> list[Question]:
    """Return the questions of one kind about quartets.

    The options stand in the same order in all four of a quartet; which one, is drawn. Ten quartets
    stand together, in drawn order: so the row before does not tell the answer, as it would if no
    letter came twice within four rows, and `--limit 40` still asks whole quartets.

    Args:
        quartets: Name and clips of each; the name becomes the questions' group.
        kind: EO, LO or LD.
        block_name: From a number of rows to what the order of the rows after it is drawn from.
    """
    questions: list[Question] = []
    for name, clips in quartets:
        order = seeded(f"{name}/{kind.value}").permutation(SIZE)
        labels = [clips[0].events[place].label for place in order]
        a, b, c, d = labels
        for clip in clips:
            right = right_event(clip, kind, MARGIN)
            assert right is not None, f"{clip.id} was drawn to have a right answer"
            questions.append(
                Question(
                    id=f"{clip.id}/{kind.value}",
                    clip_id=clip.id,
                    kind=kind,
                    options=(a, b, c, d),
                    answer=LETTERS[labels.index(right.label)],
                    n_present=SIZE,
                    group=name,
                )
            )
    ordered = []
    for start in range(0, len(questions), _BLOCK * SIZE):
        block = questions[start : start + _BLOCK * SIZE]
        order = seeded(f"{block_name(start)}/{kind.value}/row").permutation(len(block))
        ordered += [block[place] for place in order]
    return ordered
