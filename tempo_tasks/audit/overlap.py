"""The same clips and questions twice: within a data set, between two, and in lists of training.

Clips are the same by their name. A name is compared in three ways: as it stands; without folder and
extension; and by the Freesound id that it begins with, because one recording is named `100388.mp3`,
`100388__someone__birds.wav` or `freesound_100388` by different collections. The audio itself is not
compared.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from tempo_tasks.audit.training import TrainingList
from tempo_tasks.questions.questions import Question
from tempo_tasks.sources.without_audio import PlainSet

_AUDIO = re.compile(r"\.(mp3|wav|flac|ogg|oga|opus|m4a|aac|aiff?|webm|mp4)$", re.IGNORECASE)
# No leading zero, at least three digits: a clip's number within a set is no Freesound id.
_FREESOUND = re.compile(
    r"(?:(?:freesound|fsid|fsd|fs|sound)[-_]?)?([1-9]\d{2,6})(?:$|__.*|[-_.]\d.*)", re.IGNORECASE
)


def stem(name: str) -> str:
    """Return a clip's name without extension, and without folder if it is a file's.

    A name without an audio extension keeps its folder: the clips of rendered sets differ
    by it.
    """
    name = name.strip().replace("\\", "/")
    found = _AUDIO.search(name)
    return name[: found.start()].rsplit("/", 1)[-1] if found else name


def freesound_id(name: str) -> str | None:
    """Return the Freesound id that a file's name begins with, if it looks like one."""
    base = _AUDIO.sub("", name.strip().replace("\\", "/").rsplit("/", 1)[-1])
    found = _FREESOUND.fullmatch(base)
    return found[1] if found else None


LEVELS = {
    "question": "same clip, kind, options and answer",
    "clip and kind": "same clip and kind of question",
    "clip": "same clip",
    "filename": "same filename but for folder or extension",
    "freesound": "same Freesound id under another filename",
}
_SAME = ("question", "clip and kind", "clip")


def _key(question: Question, level: str) -> Hashable:
    """Return what doubles have in common; None where there is no such thing."""
    clip, kind = question.clip_id, question.kind
    keys: dict[str, Callable[[], Hashable]] = {
        "question": lambda: (clip, kind, frozenset(question.options), question.answer_text),
        "clip and kind": lambda: (clip, kind),
        "clip": lambda: clip,
        "filename": lambda: stem(clip),
        "freesound": lambda: freesound_id(clip),
    }
    return keys[level]()


def _apart(question: Question, level: str) -> Hashable:
    """Return what must differ, so that a level tells more than the one before; None: nothing."""
    if level == "filename":
        return question.clip_id
    return stem(question.clip_id) if level == "freesound" else None


def within(plain: PlainSet) -> dict[str, Any]:
    """Return what stands more than once in a data set, by level: `n` items, and their ids."""
    found = {}
    for level in LEVELS:
        groups: dict[Hashable, list[Question]] = defaultdict(list)
        for question in plain.questions:
            groups[_key(question, level)].append(question)
        groups.pop(None, None)
        doubled = [
            question
            for group in groups.values()
            if len(group) > 1
            and (level in _SAME or len({_apart(question, level) for question in group}) > 1)
            for question in group
        ]
        found[level] = _listed(doubled)
    return found


def between(plain: PlainSet, other: PlainSet) -> dict[str, Any]:
    """Return the items of a data set that have a double in another one, by level."""
    found = {}
    for level in LEVELS:
        theirs: dict[Hashable, set[Hashable]] = defaultdict(set)
        for question in other.questions:
            theirs[_key(question, level)].add(_apart(question, level))
        theirs.pop(None, None)
        doubled = [
            question
            for question in plain.questions
            if (match := theirs.get(_key(question, level)))
            and (level in _SAME or match - {_apart(question, level)})
        ]
        found[level] = _listed(doubled)
    return found


def contamination(plain: PlainSet, training: TrainingList) -> dict[str, Any]:
    """Return the items of a data set whose clips stand in a list of training clips.

    Returns:
        `rows` of the list; by kind `n` and `share` of its items; `items`, the ids; and how many of
        them match by `filename` and how many by Freesound id alone.
    """
    names = {stem(name) for name in training.names}
    # A list's names without an extension may have folders of their own.
    names |= {name.rsplit("/", 1)[-1] for name in names}
    sounds = {found for name in training.names if (found := freesound_id(name))}
    by_name = [q for q in plain.questions if stem(q.clip_id) in names]
    known = {q.id for q in by_name}
    by_sound = [
        q for q in plain.questions if q.id not in known and freesound_id(q.clip_id) in sounds
    ]
    hit = known | {q.id for q in by_sound}
    affected = [q for q in plain.questions if q.id in hit]
    return {
        "list": training.name,
        "data": plain.name,
        "rows": training.rows,
        "column": training.column,
        "filename": len(by_name),
        "freesound": len(by_sound),
        "n": len(affected),
        "share": len(affected) / len(plain.questions),
        "kinds": _by_kind(affected, plain),
        "items": [q.id for q in affected],
    }


def _by_kind(affected: Sequence[Question], plain: PlainSet) -> dict[str, Any]:
    counts = Counter(q.kind for q in affected)
    return {
        kind.value: {"n": counts[kind], "share": counts[kind] / len(plain.of_kind(kind))}
        for kind in plain.kinds
    }


def _listed(questions: Iterable[Question]) -> dict[str, Any]:
    items = sorted({q.id for q in questions})
    return {"n": len(items), "items": items}
