"""A bundle put where the user wants it, whole or not at all: a folder, or a zip of one."""

from __future__ import annotations

import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tempo_attn.errors import OptionError
from tempo_attn.files.atomic import replacing
from tempo_tasks.output_files import check_output
from tempo_tasks.submission.schema import ABOUT, MANIFEST

_OPTION = "--out"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip knows


def check_place(out: Path) -> None:
    """Check, before any work, that a bundle can be written to a place.

    Raises:
        OptionError: It cannot, or a folder is there that is no bundle.
    """
    zipped = is_zip(out)
    check_output(out, folder=not zipped, option=_OPTION)
    if zipped or not out.exists():
        return
    names = {path.name for path in out.iterdir()}
    if names and not {ABOUT, MANIFEST} <= names:
        raise OptionError(
            f"{_OPTION} {out}: a folder with other files ({', '.join(sorted(names)[:5])}); "
            "expected nothing yet, an empty folder, or an older bundle, which is replaced"
        )


def is_zip(out: Path) -> bool:
    """Whether a place is that of a zip."""
    return out.suffix.lower() == ".zip"


@contextmanager
def placed(out: Path) -> Iterator[Path]:
    """Yield an empty folder to write a bundle to; put in its place once that went well.

    Raises:
        OptionError: The place cannot be written to.
    """
    stage = out.absolute().with_name(f"{out.stem[:40]}.{uuid.uuid4().hex}.partial")
    try:
        stage.mkdir(parents=True)
        yield stage
        if is_zip(out):
            with replacing(out) as partial:
                zip_folder(stage, partial)
        else:
            _swap(stage, out)
    except OSError as error:
        raise OptionError(f"{_OPTION} {out}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _swap(stage: Path, out: Path) -> None:
    """Put a folder in the place of another, which stays if that fails."""
    old = stage.with_suffix(".old")
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(stage, out)
    except OSError:
        with suppress(OSError):
            os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def zip_folder(folder: Path, path: Path) -> None:
    """Write a zip of a folder's files; the same files give the same bytes."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in files:
            member = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, file.read_bytes())
