"""What the item browser knows: each question once, with everything that was answered to it.

A question is the same in two runs where its id, its four options and its right option are. Options
are shown in the order of the first answer that was read; a choice is the place in that order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.questions import LETTERS, Kind, Question
from tempo_tasks.questions.strata import bins_of, strata_of
from tempo_tasks.report.data_of_runs import ClipKey
from tempo_tasks.report.raw_answers import read_raw_answers
from tempo_tasks.stats.names import GENERATION
from tempo_tasks.stats.runs import Run, TaskRun
from tempo_tasks.stats.samples import Sample

MIRROR = "mirror"
_ItemKey = tuple[str, str, frozenset[str], str]


@dataclass(kw_only=True)
class BrowserItem:
    """One question of the browser.

    Attributes:
        id: Its name, unique on the page: what a link to it ends with.
        source: The first part of the names of its tasks.
        kind: eo, lo or ld.
        clip: Which clip it is about.
        options: The four options.
        answer: Place of the right one.
        doc: What the strata are read from.
        answers: By number of a column: the place chosen (-1 for none), the credit, the raw text,
            and the probabilities of the options, or None.
        edits: By number of a laboratory run: see `edits_by_item.add_edits`.
        attention: What runs recorded over the clip's time: see `edits_by_item.add_attention`.
        windows: Where attention looks most: see `edits_by_item.add_windows`.
    """

    id: str
    source: str
    kind: str
    clip: ClipKey
    options: tuple[str, ...]
    answer: int
    doc: Mapping[str, Any]
    answers: dict[int, tuple[int, float, str, Sequence[float] | None]] = field(default_factory=dict)
    edits: dict[int, dict[str, Any]] = field(default_factory=dict)
    attention: list[dict[str, Any]] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self, clip_number: int | None, caption: str | None) -> dict[str, Any]:
        """Return what the page's script reads."""
        bins = bins_of(self.doc)
        known = self.kind in {kind.value for kind in Kind}
        return {
            "id": self.id,
            "source": self.source,
            "kind": self.kind,
            "question": Kind(self.kind).text if known else self.kind,
            "clip": clip_number,
            "clipName": self.clip[1],
            "caption": caption,
            "options": list(self.options),
            "answer": self.answer,
            "margin": self.doc.get("margin"),
            "bins": {name: bins[name] for name in ("margin", "n_present") if name in bins},
            "answers": {str(number): list(found) for number, found in self.answers.items()},
            "attention": self.attention,
            "windows": self.windows,
            "edits": {str(number): found for number, found in self.edits.items()},
        }


class ItemBrowser:
    """Items and columns of answers, gathered run by run.

    Attributes:
        items: The items, in the order of the first run.
        columns: What the columns of answers are, as the page's script reads it.
    """

    def __init__(self) -> None:
        self.items: list[BrowserItem] = []
        self.columns: list[dict[str, Any]] = []
        self._by_question: dict[_ItemKey, BrowserItem] = {}
        self._by_name: dict[tuple[str, str], list[BrowserItem]] = {}
        self._ids: set[str] = set()

    def add_run(self, run: Run) -> None:
        """Add the answers of a harness run: a column for each task but for its kind."""
        numbers: dict[tuple[str, ...], int] = {}
        for task in run.tasks:
            name = task.name
            what = (name.condition, name.variant, name.scoring)
            if what not in numbers:
                numbers[what] = len(self.columns)
                self.columns.append(
                    {
                        "run": run.label,
                        "condition": name.condition,
                        "variant": name.variant,
                        "scoring": "" if name.scoring == GENERATION else name.scoring,
                    }
                )
            self._add_task(run, task, numbers[what])

    def _add_task(self, run: Run, task: TaskRun, number: int) -> None:
        raw = read_raw_answers(run, task)
        for sample in task.samples:
            item = self._item_of(task.name.source, sample)
            said = raw[sample.key]
            chosen = -1
            if sample.chosen_text is not None:
                chosen = item.options.index(sample.chosen_text)
            # In the order of the options of the page, which rotated ones are not in.
            places = [sample.options.index(option) for option in item.options]
            shares = said.probabilities
            ordered = None if shares is None else [shares[place] for place in places]
            text = said.text
            if number in item.answers:  # further rotations: the first one counts, all texts stay
                before = item.answers[number]
                text = f"{before[2]} | rotated by {sample.rotation}: {text or sample.chosen_text}"
                item.answers[number] = (before[0], before[1], text, before[3])
            else:
                item.answers[number] = (chosen, sample.correct, text, ordered)

    def _item_of(self, source: str, sample: Sample) -> BrowserItem:
        right, options = sample.question
        key = source, sample.item, options, right
        if key not in self._by_question:
            twin = sample.doc.get("condition") == MIRROR
            clip = source, str(sample.doc["clip"]), twin
            self._add(
                key,
                BrowserItem(
                    id=self._unique(sample.item),
                    source=source,
                    kind=str(sample.doc.get("kind") or ""),
                    clip=clip,
                    options=sample.options,
                    answer=LETTERS.index(sample.answer),
                    doc=sample.doc,
                ),
            )
        return self._by_question[key]

    def item_of_question(self, source: str, question: Question, clip: Clip | None) -> BrowserItem:
        """Return the item of a question of the data; it is made where no run answered it."""
        key = source, question.id, frozenset(question.options), question.answer_text
        if key not in self._by_question:
            strata = strata_of(question, clip)
            self._add(
                key,
                BrowserItem(
                    id=self._unique(question.id),
                    source=source,
                    kind=question.kind.value,
                    clip=(source, question.clip_id, False),
                    options=question.options,
                    answer=LETTERS.index(question.answer),
                    doc={"n_present": strata.n_present, "margin": strata.margin},
                ),
            )
        return self._by_question[key]

    def named(self, source: str, name: str) -> BrowserItem | None:
        """Return the one item of a source with this name; None for none or several."""
        found = self._by_name.get((source, name), [])
        return found[0] if len(found) == 1 else None

    def _add(self, key: _ItemKey, item: BrowserItem) -> None:
        self._by_question[key] = item
        self._by_name.setdefault(key[:2], []).append(item)
        self.items.append(item)

    def _unique(self, name: str) -> str:
        """Return a name that no item has yet: other questions may have the same id."""
        unique, number = name, 1
        while unique in self._ids:
            number += 1
            unique = f"{name} #{number}"
        self._ids.add(unique)
        return unique
