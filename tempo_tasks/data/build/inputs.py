"""What a build reads: clips with events, captions, licences and audio, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_tasks.data.build.audio_files import AudioSource, open_audio
from tempo_tasks.data.build.request import Request
from tempo_tasks.errors import BadIntervalsError, DataUnavailableError
from tempo_tasks.questions.events import Clip
from tempo_tasks.sources import tacos
from tempo_tasks.sources.blank_names import blank_twins, refuse_blank_twins
from tempo_tasks.sources.clip_tables import filename_problem
from tempo_tasks.sources.corpora.formats import CSV, files_of
from tempo_tasks.sources.corpora.read_corpus import read_corpus, with_audio_names
from tempo_tasks.sources.csv_reader import listed
from tempo_tasks.sources.intervals import IntervalTable, Repair
from tempo_tasks.sources.tacos import ClipInfo, SourceFile


@dataclass
class Inputs:
    """What was read.

    Attributes:
        clips: Clips to ask about, by id.
        captions: Captions, by clip id.
        infos: Licence, author and link of each clip, by clip id.
        audio: Gives the clips' files; None without audio.
        repairs: (file, repair) of everything that was mended.
        notes: What a reader of the manifest should know.
    """

    clips: dict[str, Clip]
    captions: Mapping[str, str] = field(default_factory=dict)
    infos: Mapping[str, ClipInfo] = field(default_factory=dict)
    audio: AudioSource | None = None
    repairs: list[tuple[str, Repair]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def labels(self) -> frozenset[str]:
        """Labels to draw absent distractors from: those of all clips."""
        return frozenset(label for clip in self.clips.values() for label in clip.labels)


@dataclass(frozen=True)
class Places:
    """Where each part is read from; None where it is not."""

    intervals: tuple[Path, ...]
    strong: Path | None
    captions: Path | None
    metadata: Path | None
    split: Path | None
    mapping: Path | None
    audio: Path | None


def places(request: Request) -> Places:
    """Return where the parts of a build lie.

    Raises:
        DataUnavailableError: A file that is needed is not there.
        OptionError: `split` is neither a file nor a split of the data.
    """
    folder = request.tacos
    if folder is not None and not folder.is_dir():
        raise DataUnavailableError(
            f"there is no folder {folder.absolute()}; tempo data download tacos --out {folder} "
            "makes it"
        )

    def of_tacos(name: str, *, needed: bool = False) -> Path | None:
        path = None if folder is None else folder / name
        return path if path is not None and (needed or path.exists()) else None

    split: Path | None = None
    if request.split in tacos.SPLITS:
        split = of_tacos(tacos.SPLITS[request.split], needed=True)
        if split is None:
            raise OptionError(
                f"--split {request.split} is a file of TACOS: name its folder with --tacos, or a "
                "CSV of filenames with --split"
            )
    elif request.split != "all":
        split = Path(request.split)
        near = did_you_mean(request.split, ("all", *tacos.SPLITS))
        if near and not split.exists():
            raise OptionError(
                f"--split {request.split}: no such file, and no split of TACOS.{near}"
            )
    return Places(
        intervals=tuple(file for path in request.intervals for file in files_of(path)),
        strong=None if request.intervals else of_tacos(tacos.STRONG, needed=True),
        captions=request.captions or of_tacos(tacos.WEAK),
        metadata=of_tacos(tacos.METADATA),
        split=split,
        mapping=request.mapping,
        # The archive first: a folder beside it may hold a part of it only.
        audio=request.audio or of_tacos(tacos.AUDIO) or of_tacos("audio"),
    )


def source_files(request: Request, where: Places) -> dict[str, list[SourceFile]]:
    """Return what each part's files are; those of TACOS are checked against the published sums.

    Raises:
        DataUnavailableError: A file does not exist.
        ChecksumError: A file of TACOS is not the published one.
    """

    def describe(path: Path) -> SourceFile:
        published = request.tacos is not None and path.parent == request.tacos
        return tacos.source_file(
            path,
            tacos=published and path.name in tacos.FILES,
            allow_modified=request.allow_modified,
        )

    parts: dict[str, list[Path]] = {"intervals": list(where.intervals)}
    if request.labels:
        parts["labels"] = list(request.labels)
    for part in ("strong", "captions", "metadata", "split", "mapping", "audio"):
        path = getattr(where, part)
        if path is not None and not path.is_dir():
            parts[part] = [path]
    return {part: [describe(path) for path in paths] for part, paths in parts.items() if paths}


def spec_of(
    request: Request, where: Places, sources: Mapping[str, Sequence[SourceFile]]
) -> dict[str, Any]:
    """Return all that a build's content depends on, as plain JSON without paths."""
    of_corpora = {"format": request.format, "words": request.words}
    # Absent by default: what was built before there were such options is the same build.
    more = {name: value for name, value in of_corpora.items() if value is not None}
    return {
        **more,
        "kinds": [kind.value for kind in request.kinds],
        "seed": request.seed,
        "size": request.size,
        "margin": {kind.value: request.margin_of(kind) for kind in request.kinds},
        "min_events": request.min_events,
        "min_present": request.options_in_clip,
        "per_clip": request.per_clip,
        "hard": request.hard,
        "repair": request.repair,
        "split": request.split if where.split is None else where.split.name,
        "labels": "free text" if request.free_text else "classes",
        "audio": "none" if where.audio is None else "folder" if where.audio.is_dir() else "archive",
        # An order of files is no difference.
        "sources": {part: sorted(file.sha256 for file in files) for part, files in sources.items()},
    }


def read_inputs(request: Request, where: Places) -> Inputs:
    """Read everything that a build needs.

    Raises:
        DataVersionError: A file has other columns.
        BadIntervalsError, BadTableError: Rows that cannot be, or names that differ in blanks
            around them alone; all are listed.
        UnreadableAudioError: A damaged archive.
    """
    repairs: list[tuple[str, Repair]] = []

    def recorded(file: Path, found: Sequence[Repair]) -> None:
        repairs.extend((file.name, repair) for repair in found)

    infos: dict[str, ClipInfo] = {}
    if where.metadata is not None:
        infos, found = tacos.read_metadata(where.metadata, repair=request.repair)
        recorded(where.metadata, found)
    captions: dict[str, str] = {}
    if where.captions is not None:
        captions, found = tacos.read_captions(where.captions, repair=request.repair)
        recorded(where.captions, found)

    audio = None if where.audio is None else open_audio(where.audio)
    files = frozenset() if audio is None else audio.names
    table, notes = _events(request, where, tacos.known_durations(infos), files)
    repairs.extend((repair.file, repair) for repair in table.repairs)
    _refuse_unsafe_names(table)
    for path, names in ((where.metadata, infos), (where.captions, captions)):
        if path is not None:
            refuse_blank_twins(table.clips, names, f"{table.name} and {path.name}")
    inputs = Inputs(
        clips=dict(table.clips),
        captions=captions,
        infos=infos,
        repairs=repairs,
        audio=audio,
        notes=notes,
    )
    if request.captions is not None and not inputs.clips.keys() & captions.keys():
        raise DataUnavailableError(
            f"{request.captions}: none of its {len(captions)} captions is of a clip of the "
            f"intervals; expected the same filenames, such as {min(inputs.clips)}"
        )
    if request.free_text:
        inputs.notes.append(
            "labels are free texts of annotations_strong, in lower case, blanks made equal and a "
            "final full stop left out"
        )
    if where.split is not None:
        wanted, found = tacos.read_split(where.split, repair=request.repair)
        recorded(where.split, found)
        refuse_blank_twins(wanted, inputs.clips, f"{where.split.name} and {table.name}")
        _keep(inputs, wanted, where.split.name)
    if where.audio is not None and request.repair:
        _leave_out_silent(inputs, files, where.audio.name)
    return inputs


def _events(
    request: Request, where: Places, durations: Mapping[str, float], names: frozenset[str]
) -> tuple[IntervalTable, list[str]]:
    """Return the events, and what a reader of the manifest should know of them."""
    if where.strong is not None:
        return tacos.read_strong(
            where.strong, durations=durations, mapping=where.mapping, repair=request.repair
        ), []
    corpus = read_corpus(
        where.intervals,
        form=request.format,
        labels=request.labels,
        words=request.words,
        repair=request.repair,
        durations=durations,
    )
    notes = list(corpus.notes)
    table = corpus.table
    if corpus.formats != (CSV,):
        notes.append(f"annotations are read as {', '.join(corpus.formats)}")
        table, renamed = with_audio_names(table, sorted(names))
        if renamed:
            notes.append(f"{renamed} clips are named after their audio files, with their endings")
    return table, notes


def _refuse_unsafe_names(table: IntervalTable) -> None:
    bad = [f"  {name!r}: {why}" for name in table.clips if (why := filename_problem(name))]
    if bad:
        raise BadIntervalsError(
            f"{table.name}: {len(bad)} filenames cannot be those of audio files:\n" + listed(bad)
        )


def _keep(inputs: Inputs, wanted: frozenset[str], split: str) -> None:
    known = inputs.clips.keys() & wanted
    if not known:
        raise DataUnavailableError(
            f"none of the {len(wanted)} clips of {split} has events; expected the same filenames "
            f"as in the intervals, such as {min(inputs.clips)}"
        )
    inputs.clips = {name: clip for name, clip in inputs.clips.items() if name in known}
    if len(known) < len(wanted):
        inputs.notes.append(f"{len(wanted) - len(known)} clips of {split} have no events")


def _leave_out_silent(inputs: Inputs, names: frozenset[str], source: str) -> None:
    twins = blank_twins(inputs.clips, names)
    for name in sorted(inputs.clips.keys() - names):
        del inputs.clips[name]
        near = f" (there is {twins[name]!r})" if name in twins else ""
        what = f"no audio file, or an empty one{near}; the clip is left out"
        inputs.repairs.append((source, Repair(0, name, what)))


def as_json(sources: Mapping[str, Sequence[SourceFile]]) -> dict[str, list[dict[str, Any]]]:
    """Return source files as a manifest has them."""
    return {part: [asdict(file) for file in files] for part, files in sources.items()}
