"""Strategies that hear nothing, on items with two to eight options; one hears which sounds occur.

Priors are learnt from the items of all other clusters, so no item tells of its own answer.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tempo_tasks.audit.benchmarks.choice_arrays import ChoiceArrays
from tempo_tasks.audit.item_arrays import Floats
from tempo_tasks.audit.shortcuts import mentions, words
from tempo_tasks.audit.strategies import LABELS, LETTERS, PRESENCE, TEXT, Earned, Strategy
from tempo_tasks.questions.choice_items import MOST, ChoiceItem

SPELLING, NUMBERS, QUESTION = "spelling", "numbers", "question"
FAMILIES = (PRESENCE, LABELS, LETTERS, TEXT, SPELLING, NUMBERS, QUESTION)
_BINS = 10  # of numbers, by their quantiles


def _first_letter_is_lower(option: str) -> bool:
    letter = re.search(r"[^\W\d_]", option)
    return letter is not None and letter[0].islower()


TRAITS: dict[str, Callable[[str], bool]] = {
    "begins in lower case": _first_letter_is_lower,
    "has an underscore": lambda option: "_" in option,
    "has a full stop at its end": lambda option: option.endswith("."),
    "has a comma or bracket": lambda option: re.search(r"[,()\[\]]", option) is not None,
}
"""Traits of an option's spelling, which say nothing of what it means."""


def alone(options: Sequence[str], trait: Callable[[str], bool]) -> int | None:
    """Return the place of the one option that has a trait which all others lack, or lacks it."""
    has = [trait(option) for option in options]
    for value in (True, False):
        if len(options) > 2 and has.count(value) == 1:
            return has.index(value)
    return has.index(True) if len(options) == 2 and has.count(True) == 1 else None


def guesses(arrays: ChoiceArrays) -> list[Earned]:
    """Return what every strategy earns, family by family."""
    rows = [
        *_presence(arrays),
        *_labels(arrays),
        *_letters(arrays),
        *_texts(arrays),
        *_spelling(arrays),
        *_numbers(arrays),
        *_question(arrays),
    ]
    return sorted(rows, key=lambda row: FAMILIES.index(row.strategy.family))


def _presence(arrays: ChoiceArrays) -> Iterator[Earned]:
    known = np.array([found is not None for found in arrays.present], dtype=bool)
    if not known.any():
        return
    scores = np.full((len(arrays), MOST), -np.inf)
    for row, found in enumerate(arrays.present):
        scores[row, : arrays.n_options[row]] = 0.0 if found is None else found
    meaning = "Guesses among the options that occur in the clip; hears which sounds, not when."
    yield arrays.earned(Strategy("presence only", PRESENCE, meaning), scores, known)


def _labels(arrays: ChoiceArrays) -> Iterator[Earned]:
    right: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    own: dict[str, tuple[Counter[str], Counter[str]]] = defaultdict(lambda: (Counter(), Counter()))
    for item, keys in zip(arrays.items, arrays.keys, strict=True):
        mine = own[item.cluster]
        for counts, found in ((right, [keys[item.right]]), (shown, keys)):
            counts.update(found)
        mine[0].update([keys[item.right]])
        mine[1].update(keys)
    places = {id(item): row for row, item in enumerate(arrays.items)}

    def prior(item: ChoiceItem) -> list[float]:
        was_right, was_shown = own[item.cluster]
        keys = arrays.keys[places[id(item)]]
        one = 1 / len(keys)
        return [(right[k] - was_right[k] + one) / (shown[k] - was_shown[k] + 1) for k in keys]

    def often(item: ChoiceItem) -> list[float]:
        return [float(shown[key]) for key in arrays.keys[places[id(item)]]]

    yield arrays.earned(
        Strategy(
            "label prior, leave cluster out",
            LABELS,
            "Chooses the text that is right most often, for how often it is shown, in the items of "
            "all other clusters; below chance on a balanced set.",
        ),
        arrays.scored(prior),
    )
    yield arrays.earned(
        Strategy("most often shown", LABELS, "Chooses the text that is shown most often."),
        arrays.scored(often),
    )


def _letters(arrays: ChoiceArrays) -> Iterator[Earned]:
    # Of items with as many options: the last letter of four is none of two.
    counts: dict[int, Counter[int]] = defaultdict(Counter)
    own: dict[tuple[int, str], Counter[int]] = defaultdict(Counter)
    for item in arrays.items:
        counts[len(item.options)][item.right] += 1
        own[len(item.options), item.cluster][item.right] += 1

    def fixed(item: ChoiceItem) -> list[float]:
        found = counts[len(item.options)]
        return [float(found[place]) for place in range(len(item.options))]

    def prior(item: ChoiceItem) -> list[float]:
        n = len(item.options)
        return [float(counts[n][place] - own[n, item.cluster][place]) for place in range(n)]

    yield arrays.earned(
        Strategy(
            "best fixed letter, in sample",
            LETTERS,
            "Always answers the letter that is right most often; fitted to these items.",
            fair=False,
        ),
        arrays.scored(fixed),
    )
    yield arrays.earned(
        Strategy(
            "letter prior, leave cluster out",
            LETTERS,
            "Answers the letter that is right most often in the items of all other clusters.",
        ),
        arrays.scored(prior),
    )


def _texts(arrays: ChoiceArrays) -> Iterator[Earned]:
    every: tuple[tuple[str, str, Callable[[str], float]], ...] = (
        ("longest, characters", "Chooses the option with most characters.", len),
        ("longest, words", "Chooses the option with most words.", lambda text: len(words(text))),
        ("shortest, characters", "Chooses the option with fewest characters.", lambda t: -len(t)),
    )
    for name, meaning, score in every:

        def scored(item: ChoiceItem, score: Callable[[str], float] = score) -> list[float]:
            return [score(option) for option in item.options]

        yield arrays.earned(Strategy(name, TEXT, meaning), arrays.scored(scored))


def _spelling(arrays: ChoiceArrays) -> Iterator[Earned]:
    def scores_of(traits: Sequence[Callable[[str], bool]]) -> Floats:
        def score(item: ChoiceItem) -> list[float]:
            found = [alone(item.options, trait) for trait in traits]
            return [float(found.count(place)) for place in range(len(item.options))]

        return arrays.scored(score)

    for name, trait in TRAITS.items():
        scores = scores_of([trait])
        if (scores > 0).any():
            meaning = f"Chooses the option that alone {name}, or alone does not."
            yield arrays.earned(Strategy(f"alone {name}", SPELLING, meaning), scores)
    meaning = "Chooses the option whose spelling is unlike the others' in most ways."
    yield arrays.earned(
        Strategy("spelt unlike the others", SPELLING, meaning), scores_of(list(TRAITS.values()))
    )


def _numbers(arrays: ChoiceArrays) -> Iterator[Earned]:
    numbers = [_as_numbers(item.options) for item in arrays.items]
    tried = np.array([found is not None for found in numbers], dtype=bool)
    if not tried.any():
        return
    places = {id(item): row for row, item in enumerate(arrays.items)}

    def scored(score: Callable[[ChoiceItem, list[float]], Sequence[float]]) -> Floats:
        def of(item: ChoiceItem) -> Sequence[float]:
            found = numbers[places[id(item)]]
            return [0.0] * len(item.options) if found is None else score(item, found)

        return arrays.scored(of)

    plain: tuple[tuple[str, str, Callable[[list[float]], list[float]]], ...] = (
        ("smallest number", "Chooses the smallest number.", lambda given: [-n for n in given]),
        ("largest number", "Chooses the largest number.", lambda given: given),
        (
            "middle number",
            "Chooses the number nearest to the median of the options.",
            lambda given: [-abs(n - float(np.median(given))) for n in given],
        ),
    )
    for name, meaning, score in plain:

        def of(
            _: ChoiceItem, given: list[float], score: Callable[..., list[float]] = score
        ) -> list[float]:
            return score(given)

        yield arrays.earned(Strategy(name, NUMBERS, meaning), scored(of), tried)
    yield arrays.earned(
        Strategy(
            "plausible number",
            NUMBERS,
            "Chooses the number whose tenth of all numbers shown holds most right ones, for how "
            "many it holds, in the items of all other clusters.",
        ),
        scored(_plausible(arrays, numbers)),
        tried,
    )


def _plausible(
    arrays: ChoiceArrays, numbers: Sequence[list[float] | None]
) -> Callable[[ChoiceItem, list[float]], list[float]]:
    every = np.array([n for found in numbers if found is not None for n in found])
    edges = np.quantile(every, np.linspace(0, 1, _BINS + 1)[1:-1])
    right: Counter[int] = Counter()
    shown: Counter[int] = Counter()
    own: dict[str, tuple[Counter[int], Counter[int]]] = defaultdict(lambda: (Counter(), Counter()))
    for item, found in zip(arrays.items, numbers, strict=True):
        if found is not None:
            bins = np.searchsorted(edges, found, side="right").tolist()
            for all_of, mine, counted in (
                (right, own[item.cluster][0], [bins[item.right]]),
                (shown, own[item.cluster][1], bins),
            ):
                all_of.update(counted)
                mine.update(counted)

    def score(item: ChoiceItem, given: list[float]) -> list[float]:
        was_right, was_shown = own[item.cluster]
        one = 1 / len(given)
        return [
            (right[b] - was_right[b] + one) / (shown[b] - was_shown[b] + 1)
            for b in np.searchsorted(edges, given, side="right").tolist()
        ]

    return score


def _as_numbers(options: Sequence[str]) -> list[float] | None:
    try:
        found = [float(option) for option in options]
    except ValueError:
        return None
    return found if all(map(np.isfinite, found)) else None


def _question(arrays: ChoiceArrays) -> Iterator[Earned]:
    def named(item: ChoiceItem) -> list[float]:
        return [float(bool(mentions(option, item.question))) for option in item.options]

    scores = arrays.scored(named)
    if (scores > 0).any():
        meaning = "Guesses among the options whose words stand in the question."
        yield arrays.earned(Strategy("mentioned in the question", QUESTION, meaning), scores)
        meaning = "Guesses among the options whose words do not stand in the question."
        # Not -scores: places beyond an item's options stay at -inf.
        other = np.where(np.isfinite(scores), 1 - scores, -np.inf)
        yield arrays.earned(Strategy("not mentioned in the question", QUESTION, meaning), other)
