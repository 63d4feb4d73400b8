"""The questions as a list: duplicates, letters, and which labels were drawn as options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tempo_tasks.data.check.findings import Finding, Place, What, about
from tempo_tasks.data.check.item_checks import CheckedItem
from tempo_tasks.questions.questions import LETTERS, Question
from tempo_tasks.questions.spelling import plain_label

# Balance and cycles are noted where chance gives such letters in fewer than one list of a hundred.
_RARE = 0.01
_LONGEST_PERIOD = 8


def duplicates(asked: Iterable[tuple[Question, Place]]) -> Iterator[Finding | None]:
    """Yield for each question what says that an earlier one asked the same; None where none did.

    The same clip, kind, options and letter make the same row; the same clip, kind and options in
    another order or spelling, or with another letter, the same question; else it is the same clip.
    """
    earlier: dict[Hashable, Place] = {}
    for question, place in asked:
        clip = (question.clip_id, question.kind)
        keys: list[tuple[What, Hashable]] = [
            (What.SAME_ROW, (*clip, question.options, question.answer)),
            (What.SAME_QUESTION, (*clip, frozenset(map(plain_label, question.options)))),
            (What.SAME_CLIP, clip),
        ]
        met = next(((what, earlier[key]) for what, key in keys if key in earlier), None)
        for _, key in keys:
            earlier.setdefault(key, place)
        yield met and about(question, place, met[0], *_again(*met))


def _again(what: What, place: Place) -> tuple[str, str]:
    table, row = place
    there = table if row is None else f"{table} row {row}"
    return {
        What.SAME_ROW: (f"the same row as {there}", "expected each row once"),
        What.SAME_QUESTION: (f"asks the same as {there}", "expected each question once"),
    }.get(what, (f"asks the same of the same clip as {there}", "the two are not independent"))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of letters that repeats itself.

    Attributes:
        start: Index of its first letter.
        length: How many letters it has.
        pattern: What is repeated, such as "ABCD"; a single letter for a run.
        chance: Bound on the probability that random letters with the same counts have a stretch
            that repeats itself so long, anywhere and with any period up to 8.
    """

    start: int
    length: int
    pattern: str
    chance: float


def repeated_stretch(letters: Sequence[str]) -> Stretch | None:
    """Return the stretch that chance explains least; None where no letter repeats.

    With period p a stretch of m + p letters has m letters equal to those p before. A letter is
    equal with probability q or less, the largest share, so `n` letters hold such a stretch with a
    probability of at most n q^m (union bound), and of at most 8 times that for 8 periods.
    """
    n = len(letters)
    equal = max(Counter(letters).values(), default=0) / max(n, 1)
    best: tuple[int, int, int] | None = None
    for period in range(1, min(_LONGEST_PERIOD, n - 1) + 1):
        matched = 0
        for index in range(period, n):
            matched = matched + 1 if letters[index] == letters[index - period] else 0
            if matched and (best is None or matched > best[0]):
                best = (matched, index - period - matched + 1, period)
    if best is None:
        return None
    matched, start, period = best
    chance = min(1.0, _LONGEST_PERIOD * n * equal**matched)
    pattern = "".join(letters[start : start + period])
    return Stretch(start, matched + period, pattern, chance)


def balance(letters: Sequence[str]) -> tuple[dict[str, int], float | None]:
    """Return how often each letter is right, and the p of a chi-square test for equal shares."""
    from scipy.stats import chisquare

    counts = {letter: list(letters).count(letter) for letter in LETTERS}
    return counts, float(chisquare(list(counts.values())).pvalue) if letters else None


def letter_findings(items: Sequence[CheckedItem]) -> Iterator[Finding]:
    """Yield what the letters of one kind give away: of each table, cycles; of all, the balance."""
    counts, p = balance([item.answer for item in items])
    if p is not None and p < _RARE:
        shown = ", ".join(f"{letter} {count}" for letter, count in counts.items())
        found = f"right letters {shown} (chi-square p = {p:.2g})"
        yield Finding(What.LETTER_BALANCE, found, "expected equal shares", kind=items[0].kind)
    for table in dict.fromkeys(item.table for item in items):
        mine = [item for item in items if item.table == table]
        stretch = repeated_stretch([item.answer for item in mine])
        if stretch and stretch.chance < _RARE:
            first = mine[stretch.start]
            name = "run of" if len(stretch.pattern) == 1 else "cycle"
            yield Finding(
                What.LETTER_CYCLE,
                f"right letters of {stretch.length} of {len(mine)} items in a row are a {name} "
                f"{','.join(stretch.pattern)} (chance: {max(stretch.chance, 1e-9):.0e} or less)",
                "expected no order; the row before tells the answer",
                table=table,
                row=first.row,
                kind=first.kind,
            )


def left_out_finding(items: Sequence[CheckedItem]) -> Finding | None:
    """Return how many items of one kind show absent labels while events of the clip were left out.

    Such an item tests time less than it could: its absent options can be ruled out by presence.
    """
    affected = [item for item in items if item.left_out]
    if not affected:
        return None
    events = sum(item.left_out for item in affected)
    return Finding(
        What.LEFT_OUT,
        f"{len(affected)} of {len(items)} items have {events} options that do not occur in their "
        "clip where events of the clip were left out",
        "events of the clip as options would test time",
        kind=items[0].kind,
    )
