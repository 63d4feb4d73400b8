"""The data that a bundle says it was asked, loaded again; once for all bundles with the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempo_attn.errors import TempoError
from tempo_tasks.errors import BundleError
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind
from tempo_tasks.stats.names import parse_task
from tempo_tasks.submission.sample_lines import key_of
from tempo_tasks.submission.schema import About, Task
from tempo_tasks.submission.task_scoring import task_scoring

if TYPE_CHECKING:
    from tempo_tasks.questions.question_set import QuestionSet

_SIZES = ("synth_scenes", "synth_quartets")
_TEXTS = ("caption_place", "caption_wording", "options_form", "data_split", "data_revision")
_LONGEST = 500


@dataclass(frozen=True)
class Asked:
    """What a task asks.

    Attributes:
        documents: The documents by id and rotation, as samples hold them.
        name: Name of the data.
        fingerprint: SHA-256 of the questions, captions and audio.
        prompt_version: Version of the prompt.
    """

    documents: Mapping[tuple[str, int], Mapping[str, Any]]
    name: str
    fingerprint: str
    prompt_version: str

    @cached_property
    def texts(self) -> dict[tuple[str, int], str]:
        """The documents as JSON, which is compared faster than their parts."""
        return {key: json.dumps(doc, sort_keys=True) for key, doc in self.documents.items()}


@dataclass
class AskedData:
    """Where data are, and what of them was loaded.

    Only what the validator was told is opened: a bundle names no file, and no data set of the Hub.

    Attributes:
        data: Folder, file or id of a data set on the Hub, for the released benchmark; default:
            TEMPO_DATA, else the released data set.
        intervals: Interval tables; default: that in the folder.
        captions: Caption table; default: that in the folder.
    """

    data: str | None = None
    intervals: Sequence[Path] = ()
    captions: Path | None = None
    _asked: dict[str, Asked | TempoError] = field(default_factory=dict)
    _audits: dict[str, Mapping[str, Any] | TempoError] = field(default_factory=dict)

    def without_loaded(self) -> AskedData:
        """Return where the data are, to be loaded anew: by another process."""
        return AskedData(self.data, self.intervals, self.captions)

    def clusters(self, task: str, about: Task) -> list[str]:
        """Return the cluster of each document of a task, in the order of items and rotations.

        Args:
            task: The task's name.
            about: What the bundle says of it.

        Raises:
            TempoError: As `documents`.
        """
        documents = self.documents(task, about).documents
        return [str(doc.get("cluster") or doc["clip"]) for _, doc in sorted(documents.items())]

    def documents(self, task: str, about: Task) -> Asked:
        """Return what a task asks.

        Args:
            task: The task's name.
            about: What the bundle says of it.

        Raises:
            BundleError: Settings that no run has.
            TempoError: The data cannot be had.
        """
        settings = checked_settings(about.settings)
        found = self._asked.get(key := json.dumps([task, settings], sort_keys=True))
        if found is None:
            try:
                found = self._load(task, settings)
            except TempoError as error:
                found = error
            self._asked[key] = found
        if isinstance(found, TempoError):
            raise found
        return found

    def audit(self, about: About) -> Mapping[str, Any]:
        """Return the audit of the data of a bundle, with the default settings.

        Raises:
            BundleError: Settings that no run has.
            TempoError: The data cannot be had.
        """
        wanted = sorted(
            {
                (task_scoring(task).source, name.kind, json.dumps(checked_settings(asked.settings)))
                for task, asked in about.tasks.items()
                if (name := parse_task(task))
            }
        )
        found = self._audits.get(key := json.dumps(wanted))
        if found is None:
            try:
                found = self._audit(wanted)
            except TempoError as error:
                found = error
            self._audits[key] = found
        if isinstance(found, TempoError):
            raise found
        return found

    def _load(self, task: str, settings: Mapping[str, Any]) -> Asked:
        from tempo_tasks.harness.documents import ROTATIONS, mirror_documents, to_documents
        from tempo_tasks.harness.task import load_mirror, load_questions, prompt_style

        name, rules = parse_task(task), task_scoring(task)
        assert name is not None  # `task_scoring` has refused other names
        kind, condition = Kind(name.kind), Condition(name.condition)
        metadata = self._metadata(rules.source, settings)
        style = prompt_style(rules.prompt, metadata)
        if condition is Condition.MIRROR:
            mirror = load_mirror(rules.source, kind, metadata)
            rows, known = mirror_documents(mirror), (mirror.name, mirror.fingerprint)
        else:
            questions = load_questions(rules.source, kind, metadata)
            rotations = ROTATIONS if rules.rotations else (0,)
            rows = to_documents(questions, condition, style=style, rotations=rotations)
            known = questions.name, questions.fingerprint
        return Asked({key_of(row): row for row in rows.to_list()}, *known, style.version)

    def _metadata(self, source: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        if source in ("synth", "synth_hard"):
            return dict(settings)
        told = dict(settings)
        if self.data or os.environ.get("TEMPO_DATA"):
            told.pop("data_revision", None)
        for name, value in (("data", self.data), ("data_captions", self.captions)):
            if value:
                told[name] = str(value)
        if self.intervals:
            told["data_intervals"] = [str(path) for path in self.intervals]
        return told

    def _audit(self, wanted: Iterable[tuple[str, str, str]]) -> Mapping[str, Any]:
        from tempo_tasks.audit.assemble import audit
        from tempo_tasks.harness.task import load_questions
        from tempo_tasks.sources.without_audio import PlainSet

        sets: dict[tuple[str, str], list[QuestionSet]] = {}
        for source, kind, settings in wanted:
            metadata = self._metadata(source, json.loads(settings))
            questions = load_questions(source, Kind(kind), metadata)
            of_source = sets.setdefault((source, questions.name), [])
            if all(found.fingerprint != questions.fingerprint for found in of_source):
                of_source.append(questions)
        plain = [
            PlainSet(
                name if len({other for _, other in sets}) == len(sets) else f"{name} ({source})",
                tuple(question for one in found for question in one.questions),
                clips={key: clip for one in found for key, clip in one.clips.items()},
                captions={key: text for one in found for key, text in one.captions.items()},
            )
            for (source, name), found in sets.items()
        ]
        return audit(plain)


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's settings.

    Raises:
        BundleError: One that no run has, or a size beyond the benchmark's.
    """
    from tempo_tasks.sources.synth.quartets import QUARTETS
    from tempo_tasks.sources.synth.testset import TEST_SCENES

    largest = dict(zip(_SIZES, (TEST_SCENES, QUARTETS), strict=True))
    for name, value in settings.items():
        if name in _SIZES:
            fits = type(value) is int and 1 <= value <= largest[name]
            expected = f"a number from 1 to {largest[name]}"
        else:
            fits = name in _TEXTS and isinstance(value, str) and len(value) <= _LONGEST
            expected = f"one of {', '.join((*_SIZES, *_TEXTS))}, with a short text"
        if not fits:
            raise BundleError(f"setting {name[:40]!r} is {str(value)[:40]!r}; expected {expected}")
    return dict(settings)
