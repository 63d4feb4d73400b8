"""The data that results name: questions, events, captions and audio of the items of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tempo_attn.errors import TempoError
from tempo_attn.lab.run_folder.folder import Run as LaboratoryRun
from tempo_tasks.audio import Handle
from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question
from tempo_tasks.stats.names import TaskName, parse_task
from tempo_tasks.stats.run_files import entry_at, read_results, results_beside
from tempo_tasks.stats.runs import Run, TaskRun

SOURCES = {
    "tempo": "released",
    "tempo_hard": "hard",
    "tempo_synth": "synth",
    "tempo_synth_hard": "synth_hard",
}
"""What the tasks call a source, by the first part of their names."""
MIRROR = "mirror"


@dataclass(frozen=True)
class Asked:
    """The data of one source and kind, as some task asked for them.

    Attributes:
        name: The parts of the task's name.
        metadata: The task's, as the results have it.
        fingerprint: Of the data that were asked; None where the results do not say.
    """

    name: TaskName
    metadata: Mapping[str, Any]
    fingerprint: str | None

    @property
    def key(self) -> tuple[str, str, bool]:
        """What data there can be one set of: source, kind, and whether twins are among them."""
        return self.name.source, self.name.kind, self.name.condition == MIRROR


@dataclass(frozen=True)
class ClipData:
    """What is known of a clip.

    Attributes:
        handle: Lazy handle of its audio.
        clip: The clip with its events; None where they are not known.
        caption: Its caption, if it has one.
    """

    handle: Handle
    clip: Clip | None
    caption: str | None


ClipKey = tuple[str, str, bool]
"""Source and id of a clip, and whether it is a mirrored twin, which has its original's id."""


@dataclass
class DataOfRuns:
    """What was found of the data.

    Attributes:
        clips: What is known of each clip, by source, its id, and whether it is a mirrored twin.
        questions: The questions by source and kind.
        notes: What could not be found, and what that means for the page.
    """

    clips: dict[ClipKey, ClipData] = field(default_factory=dict)
    questions: dict[tuple[str, str], dict[str, Question]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def captions(self) -> dict[ClipKey, str]:
        """The captions that are known."""
        return {key: clip.caption for key, clip in self.clips.items() if clip.caption}

    def add(self, source: str, kind: str, questions: QuestionSet, *, twins: bool) -> None:
        """Add the clips and the questions of a set."""
        for clip_id, handle in questions.audio.items():
            clip = questions.clips.get(clip_id)
            found = ClipData(handle, clip, questions.captions.get(clip_id))
            self.clips.setdefault((source, clip_id, twins), found)
        if not twins:
            known = self.questions.setdefault((source, kind), {})
            for question in questions.questions:
                known.setdefault(question.id, question)


def asked_by_run(run: Run) -> list[Asked]:
    """Return what each task of a harness run asked for."""
    return [Asked(task.name, _metadata(run, task), task.data) for task in run.tasks]


def asked_by_laboratory(run: LaboratoryRun) -> list[Asked]:
    """Return what each task of a laboratory run asked for; tasks that are not ours are left out."""
    found = []
    for task in run.manifest.settings.tasks:
        if name := parse_task(task):
            data = run.manifest.fingerprints.data.get(task, {}).get("data_fingerprint")
            found.append(Asked(name, run.manifest.settings.metadata, data))
    return found


def results_of(run: Run, task: TaskRun) -> Mapping[str, Any]:
    """Return the results that were written beside a task's samples; empty where there are none."""
    return read_results(results_beside(run.folder / task.file, task.task))


def _metadata(run: Run, task: TaskRun) -> Mapping[str, Any]:
    found = entry_at(results_of(run, task), "configs", task.task, "metadata")
    return found if isinstance(found, dict) else {}


def load_data(
    asked: Sequence[Asked],
    *,
    data: str | None = None,
    intervals: Sequence[Path] = (),
) -> DataOfRuns:
    """Load the questions that tasks asked, with the events, captions and audio of their clips.

    Data that cannot be had, or are other data than were asked, are left out and noted.

    Args:
        asked: What the tasks asked for.
        data: Where the data of the released kind lie now; default: where the results say.
        intervals: Interval tables to join; default: those that the results name.
    """
    found = DataOfRuns()
    given: dict[str, Any] = {"data": data, "data_intervals": [str(path) for path in intervals]}
    moved = {key: value for key, value in given.items() if value}
    wanted: dict[tuple[str, str, bool], list[Asked]] = {}
    for one in asked:
        wanted.setdefault(one.key, []).append(one)
    for (source, kind, mirror), same in wanted.items():
        where = f"{source} {kind}{' mirror' if mirror else ''}"
        if len({one.fingerprint for one in same if one.fingerprint}) > 1:
            found.notes.append(
                f"{where}: the runs asked different data; items are matched only where their "
                "question and options are the same, and only one of the sets can be shown"
            )
        for one in same:
            problem = _load(one, {**one.metadata, **moved}, found)
            if not problem:
                break
        else:
            found.notes.append(
                f"{where}: shown without sound, pictures and events: {problem}. Name where the "
                "data lie by --data"
            )
    return found


def _load(one: Asked, metadata: Mapping[str, Any], found: DataOfRuns) -> str:
    """Load one set into what was found; returns what is wrong, or nothing."""
    from tempo_tasks.harness.task import load_mirror, load_questions

    source, kind = SOURCES.get(one.name.source), one.name.kind
    if source is None:
        return f"{one.name.source!r} is no source of this version of tempo"
    try:
        if one.name.condition == MIRROR:
            mirror = load_mirror(source, Kind(kind), metadata)
            sets, fingerprint = [mirror.originals, mirror.twins], mirror.fingerprint
        else:
            questions = load_questions(source, Kind(kind), metadata)
            sets, fingerprint = [questions], questions.fingerprint
    except (TempoError, OSError) as error:
        return " ".join(str(error).split())[:300]
    if one.fingerprint and fingerprint != one.fingerprint:
        return (
            f"the data that were found ({sets[0].name}) are not those that the run asked: their "
            f"fingerprint is {fingerprint[:12]}, the run's {one.fingerprint[:12]}"
        )
    for number, questions in enumerate(sets):
        found.add(one.name.source, kind, questions, twins=number == 1)
    return ""
