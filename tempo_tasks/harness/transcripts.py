"""Transcripts for models that read them: the model argument `transcripts`, a CSV file.

Nothing is transcribed here: the voice detector and the Whisper that DeSTA2.5's package runs would
be fetched while a model is evaluated. What they said of a clip is given, or nothing is said, and
the results tell which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tempo_attn.errors import OptionError
from tempo_attn.families import Family
from tempo_attn.families.desta.transcripts import Transcripts
from tempo_tasks.errors import BadTableError
from tempo_tasks.harness.control_tokens import control_tokens
from tempo_tasks.sources.csv_reader import csv_rows, listed

COLUMNS = ("sha256", "transcript")


def read_transcripts(file: Path) -> Transcripts:
    """Read transcripts from a CSV file with the columns `sha256` and `transcript`.

    Raises:
        DataUnavailableError: There is no such file.
        DataVersionError: It is no CSV file.
        BadTableError: It has other columns, or names a clip twice.
    """

    def check(columns: list[str]) -> None:
        if set(columns) != set(COLUMNS):
            raise BadTableError(
                f"{file} has the columns {', '.join(columns)}; expected {' and '.join(COLUMNS)}"
            )

    texts: dict[str, str] = {}
    twice = []
    for number, row in csv_rows(file, check, what="a CSV file of transcripts"):
        name = row["sha256"].strip().lower()
        if name in texts:
            twice.append(f"  row {number}: {name}")
        texts[name] = row["transcript"]
    if twice:
        raise BadTableError(f"{file} names clips more than once:\n" + listed(twice))
    return Transcripts(texts)


def check_transcripts(name: str, value: object, family: Family) -> None:
    """Check the model argument before a model is loaded.

    Raises:
        OptionError: The family's models read no transcripts.
        TempoError: The file cannot be read; see `read_transcripts`.
    """
    if "transcript" not in family.key_spans:
        raise OptionError(
            f"model argument {name}={value}: a {family.name} model reads no transcripts beside the "
            f"audio; leave {name} out"
        )
    read_transcripts(Path(str(value)).expanduser())


def give_transcripts(family: Family, processor: Any, file: str | Path | None) -> None:
    """Give a processor the transcripts of a file, or none.

    Raises:
        OptionError: As `check_transcripts`; or a transcript holds a special token of the tokenizer.
        TempoError: The file cannot be read; see `read_transcripts`.
    """
    if file is None:
        return
    check_transcripts("transcripts", file, family)
    given = read_transcripts(Path(file).expanduser())
    tokens = control_tokens(processor.tokenizer, family.audio_marker(processor))
    bad = [
        f"  {name}: {token!r} in {text[:120]!r}"
        for name, text in (given.texts or {}).items()
        for token in sorted(tokens)
        if token in text
    ]
    if bad:
        raise OptionError(
            f"{file}: {len(bad)} transcripts hold special tokens of the model, which would change "
            "the prompt where they stand; correct them:\n" + listed(bad)
        )
    processor.transcripts = given


def describe_transcripts(family: Family, processor: Any) -> Mapping[str, Any] | None:
    """Return what the results say of transcripts; None where a model reads none."""
    if "transcript" not in family.key_spans:
        return None
    given: Transcripts = processor.transcripts
    if given.texts is None:
        return {"source": "none"}
    return {"source": "file", "clips": len(given.texts), "sha256": given.sha256}


@contextmanager
def no_transcripts(processor: Any) -> Iterator[None]:
    """Give a processor no transcripts inside the context: what changes then is what is heard."""
    given = getattr(processor, "transcripts", None)
    if given is None:
        yield
        return
    processor.transcripts = Transcripts()
    try:
        yield
    finally:
        processor.transcripts = given
