"""The clips of a page: their sound, embedded as far as the limit goes, and their pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tempo_tasks.errors import TempoError
from tempo_tasks.report.clip_sound import picture, read_clip, to_ogg
from tempo_tasks.report.data_of_runs import ClipKey, DataOfRuns
from tempo_tasks.report.item_browser import BrowserItem

MEGABYTE = 1_000_000
_NAMED = 3


@dataclass
class ClipsOnPage:
    """Clips in the order of their numbers.

    Attributes:
        clips: What the page's script reads of each: `events`, and where the audio was found its
            picture, and `file` where the sound lies in a file beside the page.
        numbers: Number of each clip.
        embedded: Base64 of the sound of the clips that have it on the page, by number.
        files: Content of the files beside the page, by name.
        notes: What was left out.
    """

    clips: list[dict[str, Any]] = field(default_factory=list)
    numbers: dict[ClipKey, int] = field(default_factory=dict)
    embedded: dict[int, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def clips_on_page(
    items: Sequence[BrowserItem],
    data: DataOfRuns,
    *,
    max_bytes: float,
    folder: str,
    served: bool = False,
    progress: bool = True,
) -> ClipsOnPage:
    """Encode the clips that items are about.

    Clips with a wrong answer are embedded first: they are what one wants to hear.

    Args:
        items: The items.
        data: What is known of the clips.
        max_bytes: Bytes of compressed audio that may go into the page; further clips become files.
        folder: Name of the folder of those files, beside the page.
        served: Whether a server gives the files out.
        progress: Whether a progress bar is shown.
    """
    found = ClipsOnPage()
    used = dict.fromkeys(item.clip for item in items if item.clip in data.clips)
    wrong = {item.clip for item in items if any(a[1] < 1 for a in item.answers.values())}
    size, problems = 0, []
    for key in tqdm(
        sorted(used, key=lambda key: key not in wrong), desc="Clips", disable=not progress
    ):
        number = found.numbers[key] = len(found.clips)
        known = data.clips[key]
        events = known.clip.events if known.clip else ()
        clip: dict[str, Any] = {
            "events": [[event.label, [list(span) for span in event.intervals]] for event in events]
        }
        found.clips.append(clip)
        try:
            wave = read_clip(known.handle)
        except TempoError as error:
            problems.append(f"{key[1]} ({type(error).__name__})")
            continue
        clip |= picture(wave)
        sound = to_ogg(wave)
        if size + len(sound) <= max_bytes:
            size += len(sound)
            found.embedded[number] = base64.b64encode(sound).decode("ascii")
        else:
            name = f"{number:05d}.ogg"
            clip["file"] = f"{folder}/{name}"
            found.files[name] = sound
    found.notes += _notes(found, problems, "" if served else folder, size)
    return found


def _notes(found: ClipsOnPage, problems: Sequence[str], folder: str, size: int) -> list[str]:
    notes = []
    if problems:
        named = ", ".join(problems[:_NAMED]) + (", ..." if len(problems) > _NAMED else "")
        notes.append(
            f"{len(problems)} of {len(found.clips)} clips are shown without sound, as their audio "
            f"cannot be read now: {named}"
        )
    if found.files and folder:
        notes.append(
            f"the sound of {len(found.embedded)} clips is in this page ({size / MEGABYTE:.1f} MB, "
            f"the limit of --max-audio); that of {len(found.files)} more lies in the folder "
            f"{folder}, which has to stay beside the page"
        )
    return notes


def write_files(found: ClipsOnPage, folder: Path) -> None:
    """Write the files beside the page, each whole or not at all."""
    from tempo_attn.files.atomic import replacing

    if found.files:
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.files.items():
        with replacing(folder / name) as partial:
            partial.write_bytes(content)
