"""Building a benchmark: annotations in, a folder in the released layout out.

The folder runs with `TEMPO_DATA=<folder> lm_eval --tasks tempo_eo_aqa`. The same request on the
same annotations gives the same bytes of `questions.csv`, whatever the order of their rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import tempo_tasks
from tempo_attn.errors import OptionError
from tempo_tasks.data.build import build_manifest as manifest
from tempo_tasks.data.build import written_tables as tables
from tempo_tasks.data.build.audio_files import FolderAudio, place_all, refuse_missing
from tempo_tasks.data.build.inputs import (
    Inputs,
    as_json,
    places,
    read_inputs,
    source_files,
    spec_of,
)
from tempo_tasks.data.build.licences import ATTRIBUTION, write_attribution
from tempo_tasks.data.build.request import Request
from tempo_tasks.data.counts import count_kinds
from tempo_tasks.errors import BuildMismatchError, QuestionError
from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.questions import Kind, Question, build_questions, fingerprint
from tempo_tasks.sources.csv_reader import listed
from tempo_tasks.sources.released_rows import question_names


def build(
    request: Request, out: Path, *, command: str = "", progress: bool = False
) -> tuple[dict[str, Any], bool]:
    """Build a benchmark into a folder, or go on where a killed build stopped.

    Args:
        request: What to build, and what from.
        out: The folder; new, empty, or with the same build.
        command: What the user typed, for the manifest.
        progress: Show a bar over the audio.

    Returns:
        The manifest, and whether it was there already, complete.

    Raises:
        OptionError: Options that contradict each other, or ask for more than there is.
        QuestionError: No question of a kind can be built.
        BuildMismatchError: Another build lies in the folder.
        DamagedBuildError: The folder's complete build was changed.
        TempoError: See `read_inputs`, `source_files` and `place_all`.
    """
    request.check()
    where = places(request)
    sources = source_files(request, where)
    spec = spec_of(request, where, sources)
    done = manifest.find_complete(out, spec)
    if done is not None:
        _refuse_other_audio(out, done, where.audio)
        return done, True

    inputs = read_inputs(request, where)
    questions = [question for kind in request.kinds for question in ask(request, inputs, kind)]
    used = {name: inputs.clips[name] for name in sorted({q.clip_id for q in questions})}
    if inputs.audio is not None:
        refuse_missing(inputs.audio, used)
    about = {
        "version": tempo_tasks.__version__,
        "command": command,
        "spec": spec,
        **_contents(request, inputs, questions, used),
        "sources": as_json(sources),
    }
    # Only now: input that cannot be used leaves no folder.
    with manifest.writing(out, spec) as done:
        if done is not None:
            return done, True
        files = _write_tables(out, questions, used, inputs)
        if inputs.audio is not None:
            placed = place_all(inputs.audio, used, out / tables.AUDIO, progress=progress)
            files.update({f"{tables.AUDIO}/{name}": digest for name, digest in placed.items()})
        return manifest.finish(out, {**about, "files": files}), False


def _contents(
    request: Request, inputs: Inputs, questions: Sequence[Question], used: Mapping[str, Clip]
) -> dict[str, Any]:
    """Return what a manifest says of the questions and their clips."""
    licences = Counter(inputs.infos[n].licence if n in inputs.infos else "unknown" for n in used)
    labels = sorted(inputs.labels)
    return {
        "fingerprint": fingerprint(questions),
        "questions": len(questions),
        "kinds": count_kinds(questions),
        "clips": len(used),
        "clips_annotated": len(inputs.clips),
        "labels": len(labels) if request.free_text else labels,
        "captions": sum(name in inputs.captions for name in used),
        "audio": inputs.audio is not None,
        "licences": dict(licences.most_common()),
        "notes": inputs.notes,
        "repairs": [
            {"file": file, "row": repair.row, "filename": repair.filename, "what": repair.what}
            for file, repair in inputs.repairs
        ],
    }


def _refuse_other_audio(out: Path, done: Mapping[str, Any], audio: Path | None) -> None:
    """Raise where a folder of audio is not the one that was built from: no sum of it is in a spec.

    Raises:
        BuildMismatchError: Files differ, or clips left out for want of a file have one now.
    """
    if audio is None or not audio.is_dir():
        return
    source = FolderAudio.at(audio)
    asked = {PurePosixPath(f).name: f for f in done["files"] if f.startswith(f"{tables.AUDIO}/")}
    other = [n for n in asked.keys() & source.names if not source.same(n, out / asked[n])]
    other += {r["filename"] for r in done["repairs"] if r["file"] == audio.name} & source.names
    if other:
        raise BuildMismatchError(
            f"{out} was built from other audio than is in {audio} now; name a new folder with "
            "--out:\n" + listed([f"  {name}" for name in sorted(other)])
        )


def ask(request: Request, inputs: Inputs, kind: Kind) -> list[Question]:
    """Return one kind's questions, sorted by clip; ids are those that a reader of rows gives.

    Raises:
        QuestionError: There are none.
        OptionError: There are fewer than asked for.
    """
    found = _hard(request, inputs, kind) if request.hard else _plain(request, inputs, kind)
    if not found:
        raise QuestionError(
            f"{kind.value}: no question: in none of {len(inputs.clips)} clips with at least "
            f"{max(request.min_events, request.options_in_clip)} events does one lead all others "
            f"by {request.margin_of(kind):g} s; use more clips, a smaller --margin, --min-events "
            "or --min-present, or leave the kind out"
        )
    names = question_names((q.clip_id, q.kind, q.options, q.answer) for q in found)
    named = [replace(question, id=name) for question, name in zip(found, names, strict=True)]
    return sorted(named, key=lambda question: (question.clip_id, question.id))


def _hard(request: Request, inputs: Inputs, kind: Kind) -> list[Question]:
    from tempo_tasks.sources.hard import build_hard

    margin = request.margin_of(kind)
    return build_hard(inputs.clips.values(), kind, seed=request.seed, margin=margin)


def _plain(request: Request, inputs: Inputs, kind: Kind) -> list[Question]:
    def questions(clips: Iterable[Clip], only: Collection[str] | None = None) -> list[Question]:
        return build_questions(
            clips,
            kind,
            seed=request.seed,
            margin=request.margin_of(kind),
            labels=inputs.labels,
            min_events=request.min_events,
            min_present=request.options_in_clip,
            per_clip=request.per_clip,
            only=only,
        )

    found = questions(inputs.clips.values())
    if request.size is None or request.size == len(found):
        return found
    if request.size > len(found):
        raise OptionError(
            f"{kind.value}: --size {request.size}, and there are {len(found)} questions; ask for "
            "fewer, or use more clips, a smaller --margin or a larger --per-clip"
        )
    # Built anew from the clips that were drawn: letters are balanced over what remains.
    drawn = _draw_clips(found, request.size, request.seed)
    of_clip: dict[str, list[str]] = defaultdict(list)
    for question in found:
        of_clip[question.clip_id].append(question.id)
    ids = [each for name in drawn for each in of_clip[name]][: request.size]
    return questions((inputs.clips[name] for name in drawn), frozenset(ids))


def _draw_clips(questions: Sequence[Question], size: int, seed: int) -> list[str]:
    """Return clips in an order that the seed draws, until they have `size` questions."""
    count = Counter(question.clip_id for question in questions)
    drawn: list[str] = []
    total = 0
    for name in sorted(count, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest()):
        if total >= size:
            break
        drawn.append(name)
        total += count[name]
    return drawn


def _write_tables(
    out: Path, questions: Sequence[Question], used: Mapping[str, Clip], inputs: Inputs
) -> dict[str, str]:
    """Write the tables; return their SHA-256 sums by name."""
    captions = {name: inputs.captions[name] for name in used if name in inputs.captions}
    audio = inputs.audio is not None
    # All of them: absent distractors are labels of clips that no question is about.
    clips = [inputs.clips[name] for name in sorted(inputs.clips)]
    files = {
        tables.QUESTIONS: tables.write_questions(out / tables.QUESTIONS, questions, audio=audio),
        tables.INTERVALS: tables.write_intervals(out / tables.INTERVALS, clips),
        ATTRIBUTION: write_attribution(out / ATTRIBUTION, used, inputs.infos),
    }
    if captions:
        files[tables.CAPTIONS] = tables.write_captions(out / tables.CAPTIONS, captions)
    return files
