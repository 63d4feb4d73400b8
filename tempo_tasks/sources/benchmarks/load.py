"""A part of a benchmark: its items, for an audit; with the audio of its clips, for a task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tempo_attn.errors import OptionError
from tempo_tasks.audio import Handle, file_handle
from tempo_tasks.errors import AudioNotFoundError, QuestionError
from tempo_tasks.questions.choice_items import ChoiceItem, fingerprint_of
from tempo_tasks.sources.benchmarks.description import Description, Part
from tempo_tasks.sources.benchmarks.find_copy import clip_file, clip_folders, find_copy, rows_of
from tempo_tasks.sources.benchmarks.read_items import ReadItems, read_items
from tempo_tasks.sources.clip_audio import store_audio
from tempo_tasks.sources.csv_reader import listed


@dataclass(frozen=True)
class BenchmarkPart:
    """The items of a part of a benchmark.

    Attributes:
        name: What a reader of the results should see: copy, or repository and commit.
        description: The benchmark.
        part: The part.
        items: The items, in the order of the rows.
        read: What was read, with faults and what was left out.
        audio: Handle of each clip, by its name; empty where no audio was asked for.
        seconds: Whether the items ask for a time.
    """

    name: str
    description: Description
    part: Part
    items: tuple[ChoiceItem, ...]
    read: ReadItems
    audio: Mapping[str, Handle] = field(default_factory=dict)
    seconds: bool = False

    @property
    def label(self) -> str:
        """What the part is called in tables: times are told from options."""
        return f"{self.part.name}_seconds" if self.seconds else self.part.name

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that is asked: items, and the content of their clips."""
        heard = sorted([name, handle["sha256"]] for name, handle in self.audio.items())
        text = json.dumps([fingerprint_of(self.items), heard], ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def about(self) -> dict[str, Any]:
        """Return what the results say of the items, as plain JSON types."""
        return {
            "rows": self.read.rows,
            "items": len(self.items),
            "left_out": dict(sorted(self.read.left_out.items())),
            "faulty_rows": len(self.read.faults),
            "option_twice": sum(bool(item.twice) for item in self.items),
        }


def load_items(
    description: Description,
    part: str,
    *,
    data: str | None = None,
    revision: str | None = None,
    seconds: bool = False,
) -> tuple[BenchmarkPart, Path]:
    """Return a part without its audio, and where its copy lies; faults are in `read`.

    Raises:
        OptionError: There is no such part, or a time is asked for and the part has none.
        DataUnavailableError: The data cannot be had.
        DataVersionError: Another layout than the description's.
    """
    copy, name = find_copy(description, data, revision)
    asked = description.part(part)
    if seconds and not asked.seconds:
        raise OptionError(f"{description.name} {part} has no column of times: it asks for options")
    where, rows = rows_of(description, asked, copy)
    read = read_items(description, asked, rows, f"{name}, {where}", seconds=seconds)
    items = tuple(read.items)
    return BenchmarkPart(name, description, asked, items, read, seconds=seconds), copy


def load_benchmark(
    description: Description,
    part: str,
    *,
    data: str | None = None,
    revision: str | None = None,
    skip_faulty: bool = False,
    seconds: bool = False,
) -> BenchmarkPart:
    """Return a part with the audio of its clips.

    Args:
        description: The benchmark.
        part: Name of the part.
        data: Folder, file or id on the Hub; default: the set's environment variable, else the Hub.
        revision: Branch, tag or commit on the Hub.
        skip_faulty: Leave out rows that are no item; results say how many.
        seconds: Whether the items ask for a time, and not for an option.

    Raises:
        OptionError: A time is asked for, and the part has none.
        DataUnavailableError: The data cannot be had.
        DataVersionError: Another layout than the description's.
        QuestionError: Rows that are no item, and `skip_faulty` is not given; or no item is left.
        AudioNotFoundError: Clips are missing; all are listed.
    """
    loaded, copy = load_items(description, part, data=data, revision=revision, seconds=seconds)
    faults = loaded.read.faults
    if faults and not skip_faulty:
        raise QuestionError(
            f"{loaded.name}, {part}: {len(faults)} of {loaded.read.rows} rows are no item; correct "
            "them, or leave them out with --metadata '{\"skip_faulty\": true}' (the results say "
            "how many):\n" + listed([f"  {fault}" for fault in faults])
        )
    if not loaded.items:
        raise QuestionError(f"{loaded.name}, {part}: none of {loaded.read.rows} rows is an item")
    folders = clip_folders(loaded.part, copy)
    audio: dict[str, Handle] = {}
    missing: list[str] = []
    wanted = dict.fromkeys(clip for item in loaded.items for clip in item.clips)
    for clip in wanted:
        handle = _handle(description, folders, clip, loaded.read.clips[clip])
        if handle is None:
            missing.append(f"  {clip}")
        else:
            audio[clip] = handle
    if missing:
        places = ", ".join(["audio/", *(f"{name}/" for name in description.audio_folders)])
        raise AudioNotFoundError(
            f"{loaded.name}, {part}: {len(missing)} of {len(wanted)} clips are not in {copy} (nor "
            f"in its {places}); unpack the archives of the set there:\n" + listed(missing)
        )
    return replace(loaded, audio=audio)


def _handle(
    description: Description, folders: Sequence[Path], name: str, cell: Any
) -> Handle | None:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(content, bytes):
        path = cell.get("path") if isinstance(cell, dict) else None
        return store_audio(content, Path(path).suffix if isinstance(path, str) else "")
    file = clip_file(description, folders, name)
    return None if file is None else file_handle(file)
