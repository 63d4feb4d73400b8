"""The manifest of a built folder: what it holds, what from, and the sums of its files.

It is written last, so a folder with a manifest is whole. Until then `build.json` holds what is
being built: the same build goes on there, another one is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from filelock import FileLock

from tempo_attn.files.csv_and_json import write_json
from tempo_attn.files.json_types import misfit
from tempo_attn.files.strict_json import parse_json
from tempo_tasks.errors import BuildMismatchError, DamagedBuildError, DataVersionError, TempoError
from tempo_tasks.file_hashes import hash_file
from tempo_tasks.sources.csv_reader import listed

MANIFEST, STARTED = "manifest.json", "build.json"
FORMAT = 1
PARTIAL, LOCK = ".partial", ".lock"
WHAT, RENDERED = "tempo data build", "tempo data render"


class _Repair(TypedDict):
    file: str
    row: int
    filename: str
    what: str


class _Counted(TypedDict):
    questions: int
    clips: int
    letters: dict[str, int]
    labels: int


class _Count(_Counted, total=False):
    in_clip: dict[str, int]


class _Manifest(TypedDict):
    """What readers of a manifest rely on; there is more in it."""

    spec: dict[str, Any]
    files: dict[str, str]
    kinds: dict[str, _Count]
    clips: int
    captions: int
    fingerprint: str
    questions: int
    audio: bool
    licences: dict[str, int]
    labels: int | list[str]
    repairs: list[_Repair]
    notes: list[str]


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None where there is no file.

    Raises:
        DataVersionError: It holds something else.
    """
    if not path.is_file():
        return None
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataVersionError(f"{path}: not JSON ({error}); delete it, or build again") from error
    if not isinstance(content, dict):
        raise DataVersionError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a built folder; None where there is none.

    Raises:
        DataVersionError: It is no manifest of ours, or a later release's.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        return None
    if manifest.get("what") not in (WHAT, RENDERED) or manifest.get("format") != FORMAT:
        raise DataVersionError(
            f"{folder / MANIFEST}: {manifest.get('what')!r} of format {manifest.get('format')!r}; "
            f"this release reads {WHAT!r} and {RENDERED!r} of format {FORMAT}"
        )
    if wrong := misfit(manifest, _Manifest):
        raise DataVersionError(
            f"{folder / MANIFEST}: {wrong}; it was edited or cut short. Delete it, and the command "
            "that built the folder writes it again"
        )
    return manifest


def find_complete(folder: Path, spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the manifest of a build that is complete and undamaged; None if there is work to do.

    Nothing is written.

    Args:
        folder: Where the build goes.
        spec: All that its content depends on, as plain JSON.

    Raises:
        BuildMismatchError: Another build, or files that no build wrote, lie there.
        DamagedBuildError: Files of a complete build were changed.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        _refuse_other(folder, manifest["spec"], spec)
        changed = problems(folder, manifest)
        if not changed:
            return manifest
        if any(not problem.endswith("missing") for problem in changed):
            raise DamagedBuildError(
                f"{folder}: files were changed since it was built; delete them, and the same "
                "command writes them again:\n" + listed([f"  {problem}" for problem in changed])
            )
        return None
    begun = read_json(folder / STARTED)
    if begun is not None:
        _refuse_other(folder, begun, spec)
    refuse_foreign(folder)
    return None


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder with files that no build wrote; nothing is written.

    Raises:
        BuildMismatchError: There are such files.
    """
    if (folder / MANIFEST).is_file() or (folder / STARTED).is_file():
        return
    if folder.exists() and (not folder.is_dir() or any(map(_is_theirs, folder.iterdir()))):
        raise BuildMismatchError(
            f"{folder} is not empty, and no build of ours; name a new folder with --out"
        )


def _is_theirs(path: Path) -> bool:
    """Whether a file is none that a build killed in its first moment leaves."""
    return PARTIAL not in path.name and path.name != LOCK


@contextmanager
def writing(folder: Path, spec: Mapping[str, Any]) -> Iterator[dict[str, Any] | None]:
    """Yield None to the one process that may write the folder now, marked as this build's.

    Yields the manifest where another process has finished the same build meanwhile.

    Raises:
        BuildMismatchError: Another build was begun meanwhile, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK):
            done = find_complete(folder, spec)
            if done is None:
                begin(folder, spec)
            yield done
            (folder / LOCK).unlink(missing_ok=True)
    except TempoError:
        raise
    except OSError as error:
        raise BuildMismatchError(
            f"{folder} cannot be written ({error}); make room, or name another folder with --out"
        ) from error


def begin(folder: Path, spec: Mapping[str, Any]) -> None:
    """Mark a folder as one in which this build is going on."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STARTED, spec, ensure_ascii=False)
    for left in folder.rglob(f"*{PARTIAL}*"):  # of a killed build
        left.unlink(missing_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)


def finish(folder: Path, manifest: Mapping[str, Any], what: str = WHAT) -> dict[str, Any]:
    """Write the manifest: the folder is complete.

    Args:
        folder: The folder.
        manifest: What it holds.
        what: The command that wrote it.
    """
    whole = {"what": what, "format": FORMAT, **manifest}
    write_json(folder / MANIFEST, whole, ensure_ascii=False)
    (folder / STARTED).unlink(missing_ok=True)
    return whole


def problems(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Return the files of a build that are missing or changed, one line each."""
    found = []
    for name, sha256 in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            found.append(f"{name}: missing")
        elif hash_file(path, "sha256") != [sha256]:
            found.append(f"{name}: not what was written (SHA-256 differs)")
    return found


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return where two nested objects differ, one line each."""
    first, second = _flat(before), _flat(now)
    return [
        f"{name}: {json.dumps(first.get(name))} there, {json.dumps(second.get(name))} now"
        for name in sorted({*first, *second})
        if first.get(name) != second.get(name)
    ]


def _flat(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{before}{name}."))
        else:
            flat[f"{before}{name}"] = value
    return flat


def _refuse_other(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    found = differences(before, json.loads(json.dumps(now)))
    if found:
        raise BuildMismatchError(
            f"{folder} holds another build; name a new folder with --out, or build the same one:\n"
            + listed([f"  {line}" for line in found])
        )
