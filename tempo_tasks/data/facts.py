"""Looking into data: a built or released folder, a file, a data set in the Hub's cache, a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tempo_attn.errors import OptionError
from tempo_tasks.data.build.build_manifest import MANIFEST, STARTED, problems, read_manifest
from tempo_tasks.data.counts import count_kinds
from tempo_tasks.data.fetch import read_download
from tempo_tasks.errors import DataUnavailableError, DataVersionError
from tempo_tasks.questions.questions import Question, fingerprint
from tempo_tasks.sources.hub import RELEASED_ALIAS, RELEASED_REPO
from tempo_tasks.sources.without_audio import SYNTH, SYNTH_HARD, PlainSet, load_plain


@dataclass(frozen=True)
class Info:
    """What is known of data.

    Attributes:
        name: What was looked into.
        origin: `manifest`, or `rows` where everything was counted from the rows.
        facts: As in a manifest: `kinds`, `clips`, `fingerprint` and more.
        problems: With `verify`: files that are not what was written, or facts that the rows
            contradict; None where nothing was verified.
    """

    name: str
    origin: str
    facts: dict[str, Any]
    problems: list[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        checked = {} if self.problems is None else {"problems": self.problems}
        return {"name": self.name, "from": self.origin, **self.facts, **checked}


def look_into(name: str, *, verify: bool = False) -> Info:
    """Return what data hold.

    Args:
        name: A folder or file of questions, the id of a data set in the Hub's cache, or a task.
        verify: Also compare the files with their sums, and the manifest with the rows.

    Raises:
        DataUnavailableError: There are no such data here; nothing is downloaded.
        DataVersionError: Another layout, or nothing to verify against.
        QuestionError: No row is a question.
    """
    path = Path(name).expanduser()
    manifest = read_manifest(path) if path.is_dir() else None
    if manifest is None:
        if verify:
            raise DataVersionError(
                f"{name}: no {MANIFEST} to verify against; only `tempo data build` and "
                "`tempo data render` write one"
            )
        unfinished = path.is_dir() and (path / STARTED).is_file()
        if unfinished:
            raise DataVersionError(
                f"{name}: a build that is not finished; run the same command again"
            )
        return Info(name, "rows", _counted(_load(name, path), path))
    if not verify:
        return Info(name, "manifest", manifest)
    found = problems(path, manifest)
    if not found:
        # The sums are right, so a contradiction can only stand in the manifest itself.
        rows = _counted(load_plain(path), path)
        found = [
            f"{MANIFEST}: {key} is {manifest[key]!r}, counted are {rows[key]!r}"
            for key in ("fingerprint", "questions", "kinds", "clips", "captions")
            if manifest[key] != rows[key]
        ]
    return Info(name, "manifest", manifest, found)


def _load(name: str, path: Path) -> PlainSet:
    if path.exists():
        return load_plain(path)
    if name.startswith("tempo_"):
        from tempo_tasks.harness.task_index import check_names, task_index

        try:
            check_names([name], task_index())
        except OptionError as error:
            raise DataUnavailableError(f"{name}: no such file or folder, and {error}") from None
    for rendered in (SYNTH_HARD, SYNTH):
        if name == rendered or name.startswith(f"{rendered}_"):
            return load_plain(rendered)
    if name.startswith("tempo_") or name == "tempo":
        import os

        named = os.environ.get("TEMPO_DATA")
        if named and Path(named).expanduser().exists():
            return load_plain(Path(named).expanduser())
        return load_plain(_cached(named or name, (named,) if named else _RELEASED))
    return load_plain(_cached(name, (name,)))


_RELEASED = (RELEASED_REPO, RELEASED_ALIAS)


def _cached(name: str, repos: Sequence[str]) -> Path:
    """Return the folder of a data set in the Hub's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for repo in repos:
        try:
            return Path(snapshot_download(repo, repo_type="dataset", local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            continue
    raise DataUnavailableError(
        f"{name}: no such file or folder, and {' or '.join(repos)} is not in the Hub's cache. "
        "Fetch the released data with `tempo data download released --out FOLDER` and name the "
        "folder; tempo_synth needs no data"
    )


def _counted(found: PlainSet, path: Path) -> dict[str, Any]:
    questions = [_with_presence(question, found) for question in found.questions]
    clips = {question.clip_id for question in questions}
    facts: dict[str, Any] = {
        "source": found.name,
        "fingerprint": fingerprint(questions),
        "questions": len(questions),
        "kinds": count_kinds(questions),
        "clips": len(clips),
        "intervals": len(clips & found.clips.keys()),
        "captions": len(clips & found.captions.keys()),
        "malformed_rows": len(found.faults),
    }
    downloaded = read_download(path) if path.is_dir() else None
    return facts | ({"download": downloaded} if downloaded else {})


def _with_presence(question: Question, found: PlainSet) -> Question:
    clip = found.clips.get(question.clip_id)
    if clip is None:
        return question
    return replace(question, n_present=len(clip.labels.intersection(question.options)))
