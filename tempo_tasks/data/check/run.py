"""Recompute every answer of a set of questions from the intervals, and list what disagrees.

The rules are those of arXiv 2606.17417, measured on its released files: the right event leads
EVERY other event of its clip, EO and LO by 1.0 s, LD by 3.0 s. See `check_items` for one question,
`check_lists` for the questions together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tempo_attn.errors import OptionError
from tempo_tasks.data.check.findings import Finding, Place, What
from tempo_tasks.data.check.item_checks import CheckedItem, Rule, Vocabulary, check_item
from tempo_tasks.data.check.list_checks import (
    balance,
    duplicates,
    left_out_finding,
    letter_findings,
)
from tempo_tasks.errors import DataUnavailableError, DataVersionError
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.sources.without_audio import SYNTH, SYNTH_HARD, PlainSet


@dataclass(frozen=True)
class KindSummary:
    """The items of one kind in numbers.

    Attributes:
        kind: `eo`, `lo` or `ld`.
        items: How many there are.
        agree: How many of them agree with the intervals in everything.
        required: The margins that were asked for, in seconds.
        smallest_margin: The smallest lead of a marked option, in seconds; None without any.
        median_margin: The median lead.
        in_clip: Number of items by how many options occur in the clip, from 0 to 4.
        letters: How often each letter is right.
        letters_p: p of the chi-square test that the letters have equal shares.
        found: Number of findings by their kind.
    """

    kind: str
    items: int
    agree: int
    required: tuple[float, ...]
    smallest_margin: float | None
    median_margin: float | None
    in_clip: Mapping[int, int]
    letters: Mapping[str, int]
    letters_p: float | None
    found: Mapping[What, int]


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        names: The sets that were checked.
        items: Every question that could be read, in order.
        findings: Disagreements first.
    """

    names: tuple[str, ...]
    items: tuple[CheckedItem, ...]
    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        """Whether there is no disagreement; notes do not count."""
        return all(finding.what.is_note for finding in self.findings)

    def summaries(self) -> list[KindSummary]:
        """Return the numbers of each kind that occurs."""
        kinds = [kind.value for kind in Kind]
        return [
            _summary([item for item in self.items if item.kind == kind], self.findings)
            for kind in kinds
            if any(item.kind == kind for item in self.items)
        ]


def check_sets(
    sets: Sequence[PlainSet],
    *,
    margin: float | None = None,
    margins: Mapping[str, Mapping[Kind, float]] | None = None,
    labels: Iterable[str] = (),
    repair: bool = False,
) -> CheckResult:
    """Check sets of questions, together: a question that stands in two of them is a duplicate.

    Args:
        sets: Questions with the intervals of their clips.
        margin: Required lead of the right event over every other one, in seconds. Default: 1.0 for
            EO and LO and 3.0 for LD, as released; 1.0 for rendered scenes.
        margins: Without `margin`, that of each kind in the sets that tell theirs, by set.
        labels: Labels that an option may be, beside those of the intervals.
        repair: Take options that differ from a label in spelling only for that label, and note it.

    Raises:
        DataUnavailableError: No clip has intervals.
        QuestionError: The margin is negative or no number.
    """
    if margin is not None and not (math.isfinite(margin) and margin >= 0):
        raise OptionError(f"margin {margin!r}: expected seconds, 0 or more")
    for found in sets:
        if not found.clips:
            raise DataUnavailableError(
                f"{found.name}: answers are checked against intervals, and none are known; name "
                "them with --intervals FILE.csv"
            )
    vocabulary = Vocabulary(
        label
        for source in (labels, *(clip.labels for found in sets for clip in found.clips.values()))
        for label in source
    )
    findings = list(_faults(sets))
    items = []
    asked = [each for found in sets for each in _asked(found)]
    rules = {
        found.name: Rule(
            _required(found.name, margin, (margins or {}).get(found.name)), vocabulary, repair
        )
        for found in sets
    }
    again = duplicates((question, place) for _, question, place in asked)
    for (found, question, place), doubled in zip(asked, again, strict=True):
        clip = found.clips.get(question.clip_id)
        item, about_it = check_item(question, place, clip, rules[found.name])
        if doubled is not None:
            about_it.append(doubled)
        wrong = dict.fromkeys(each.what.value for each in about_it if not each.what.is_note)
        items.append(replace(item, disagreements=tuple(wrong)))
        findings += about_it
    findings += _about_kinds(items)
    # Sets that share their interval files share the repairs.
    findings += [
        Finding(What.REPAIR, f"{fix.filename}: {fix.what}", "repaired", fix.file, fix.row)
        for fix in dict.fromkeys(fix for found in sets for fix in found.repairs)
    ]
    findings.sort(key=lambda finding: finding.what.is_note)
    return CheckResult(tuple(found.name for found in sets), tuple(items), tuple(findings))


def read_labels(path: Path) -> list[str]:
    """Return the labels of a text file, one a line; empty lines do not count.

    Raises:
        DataUnavailableError: There is no such file.
        DataVersionError: It is no text, or holds no label.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataVersionError(f"{path}: no text in UTF-8: {error}") from error
    except OSError as error:
        raise DataUnavailableError(
            f"{path.absolute()} cannot be read ({error}); expected labels, one a line"
        ) from error
    labels = [line.strip() for line in lines if line.strip()]
    if not labels:
        raise DataVersionError(f"{path}: no label in it; expected one a line")
    return labels


def _required(
    name: str, margin: float | None, told: Mapping[Kind, float] | None
) -> dict[Kind, float]:
    if margin is not None:
        return dict.fromkeys(Kind, margin)
    if told is not None:
        return {kind: told.get(kind, kind.released_margin) for kind in Kind}
    if name in (SYNTH, SYNTH_HARD):
        from tempo_tasks.sources.synth.scene import MARGIN

        return dict.fromkeys(Kind, MARGIN)
    return {kind: kind.released_margin for kind in Kind}


def _table(found: PlainSet, where: str) -> str:
    # A single file is called what the set is called.
    return found.name if found.name.endswith(where) else f"{found.name}/{where}"


def _asked(found: PlainSet) -> Iterator[tuple[PlainSet, Question, Place]]:
    """Yield the questions of a set and where they stand; rendered scenes stand in no table."""
    places: list[Place] = [(_table(found, where), row) for where, row in found.places]
    places = places or [(found.name, None)] * len(found.questions)
    for question, place in zip(found.questions, places, strict=True):
        yield found, question, place


def _faults(sets: Iterable[PlainSet]) -> Iterator[Finding]:
    for found in sets:
        for fault in found.faults:
            table = _table(found, fault.where)
            yield Finding(What.MALFORMED_ROW, fault.what, "not checked", table, fault.row)


def _about_kinds(items: Sequence[CheckedItem]) -> Iterator[Finding]:
    for kind in Kind:
        mine = [item for item in items if item.kind == kind.value]
        if mine:
            yield from letter_findings(mine)
            if left_out := left_out_finding(mine):
                yield left_out


def _summary(items: Sequence[CheckedItem], findings: Iterable[Finding]) -> KindSummary:
    kind = items[0].kind
    margins = [item.margin for item in items if item.margin is not None]
    present = Counter(len(item.in_clip) for item in items if item.in_clip is not None)
    letters, p = balance([item.answer for item in items])
    found = Counter(finding.what for finding in findings if finding.kind == kind)
    return KindSummary(
        kind=kind,
        items=len(items),
        agree=sum(item.agrees for item in items),
        required=tuple(sorted({item.required for item in items})),
        smallest_margin=min(margins, default=None),
        median_margin=median(margins) if margins else None,
        in_clip={number: present[number] for number in range(5)},
        letters=letters,
        letters_p=p,
        found={what: found[what] for what in What if found[what]},
    )
