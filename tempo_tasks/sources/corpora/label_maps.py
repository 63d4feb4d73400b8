"""Labels merged, renamed and dropped by maps, and put into words.

A map is a table of two columns: from, to. To nothing drops a label, and several to one merge them.
AudioSet's own maps are read as they are: `mid_to_display_name.tsv` (no header) and
`class_labels_indices.csv` (`index, mid, display_name`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tempo_tasks.errors import BadTableError, DataUnavailableError, DataVersionError
from tempo_tasks.questions.spelling import breaks_line
from tempo_tasks.sources.csv_reader import csv_rows

# Names of columns: what is mapped, and to what.
_FROM = ("label", "from", "mid", "text")
_TO = ("to", "new", "display_name", "class")
_MID = ("/m/", "/t/", "/g/")


@dataclass
class Labels:
    """What becomes of labels, and what became of them.

    Attributes:
        maps: From label to label, one after the other; to nothing drops it.
        words: Whether labels are put into words.
        changed: What each label that was met became; empty for those dropped.
        counts: How many rows have it.
    """

    maps: Sequence[dict[str, str]] = ()
    words: bool = False
    changed: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def of(self, label: str) -> str:
        """Return what a label becomes; empty where it is dropped.

        Raises:
            DataVersionError: A class of AudioSet by its number, which no map names.
        """
        label = label.strip()
        found = label
        for one in self.maps:
            found = one.get(found, found)
        if found.startswith(_MID):
            raise DataVersionError(
                f"the label {found!r} is a class of AudioSet by its number; name the map to words "
                "with --labels mid_to_display_name.tsv"
            )
        if self.words:
            found = in_words(found)
        self.counts[label] += 1
        self.changed[label] = found
        return found

    def notes(self) -> list[str]:
        """Return what was changed, one line a kind of change."""
        changed = {name: to for name, to in sorted(self.changed.items()) if name != to}
        dropped = [f"{name} ({self.counts[name]} rows)" for name, to in changed.items() if not to]
        renamed = [f"{name} -> {to}" for name, to in changed.items() if to]
        lines = []
        if renamed:
            lines.append(f"labels changed: {'; '.join(renamed)}")
        if dropped:
            lines.append(f"labels dropped: {'; '.join(dropped)}")
        return lines


def in_words(label: str) -> str:
    """Return a label in words: "Dog_bark" is "dog bark"; words in capitals (TV) stay."""
    words = label.replace("_", " ").split()
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)


def read_label_map(file: Path) -> dict[str, str]:
    """Read a map of labels.

    Raises:
        DataUnavailableError: There is no such file.
        DataVersionError: It has no two columns of labels.
        BadTableError: A label is mapped to two; or a row has more cells than the header.
    """
    if not file.is_file():
        raise DataUnavailableError(f"there is no file {file.absolute()}; expected a label map")
    try:
        with file.open(encoding="utf-8-sig") as lines:
            first = next((line for line in lines if line.strip()), "").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataVersionError(f"{file}: {error}; save it in UTF-8") from error
    found: dict[str, str] = {}
    for number, old, new in _pairs(file, first):
        if not old or breaks_line(new):
            raise BadTableError(f"{file.name}, row {number}: {old!r} to {new!r}; expected labels")
        if found.setdefault(old, new) != new:
            raise BadTableError(
                f"{file.name}, row {number}: {old!r} becomes {new!r}, and {found[old]!r} in an "
                "earlier row; expected one of them"
            )
    return found


def _pairs(file: Path, first: str) -> Iterator[tuple[int, str, str]]:
    cells = first.split("\t")
    if len(cells) == 2 and cells[0].startswith(_MID):  # AudioSet's has no header
        for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
            if line.strip():
                old, _, new = line.partition("\t")
                yield number, old.strip(), new.strip()
        return
    delimiter = "\t" if "\t" in first else ","
    names: list[str] = []

    def check(columns: list[str]) -> None:
        old = next((name for name in _FROM if name in columns), None)
        new = next((name for name in _TO if name in columns), None)
        if old is None or new is None:
            raise DataVersionError(
                f"{file}: columns {columns}; expected one of {_FROM} and one of {_TO}, such as "
                "label,to"
            )
        names.extend((old, new))

    for number, row in csv_rows(file, check, what="a label map", delimiter=delimiter):
        yield number, row[names[0]].strip(), row[names[1]].strip()
