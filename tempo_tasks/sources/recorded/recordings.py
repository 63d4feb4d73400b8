"""What is known of a recording before it is heard: its label, its licence, whom it is from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tempo_tasks.questions.spelling import plain_label

TEST_SHARE = 0.2
SPLITS = ("all", "train", "test")


@dataclass(frozen=True, slots=True)
class Recording:
    """One labelled file.

    Attributes:
        path: Where it lies.
        name: Its path within the source, with `/`.
        label: The label as options show it: in words.
        licence: Name or address of the licence; empty where unknown.
        author: Whom it is from; empty where unknown.
        link: Its page; empty where unknown.
        origin: The longer recording that it was cut from: what was cut from one stays in one split.
        fold: The fold that the source puts it in; empty where it has none.
    """

    path: Path
    name: str
    label: str
    licence: str = ""
    author: str = ""
    link: str = ""
    origin: str = ""
    fold: str = ""

    def in_test(self, folds: Iterable[str]) -> bool:
        """Whether it belongs to the test split: by its fold, else by chance drawn from its origin.

        Args:
            folds: The folds of the test split.
        """
        if self.fold:
            return self.fold in set(folds)
        drawn = hashlib.sha256(f"split/{self.origin or self.name}".encode()).digest()
        return int.from_bytes(drawn[:4], "big") < TEST_SHARE * 2**32


@dataclass(frozen=True)
class Sounds:
    """The recordings of a source.

    Attributes:
        layout: Which layout it has.
        recordings: Sorted by name.
        test_folds: Folds that are the test split where nothing else is said.
        left_out: (name, why) of files that are no recording of one label.
        cite: Which entries of `tempo data cite` name the source.
    """

    layout: str
    recordings: tuple[Recording, ...]
    test_folds: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = field(default=())
    cite: tuple[str, ...] = ()


def in_words(label: str) -> str:
    """Return a label as a question shows it: blanks for underscores ("Dog_bark": "Dog bark")."""
    return " ".join(label.replace("_", " ").split())


def one_spelling(recordings: Iterable[Recording]) -> dict[str, str]:
    """Return the spelling to use for labels that differ from another in case alone.

    Returns:
        The most frequent spelling, by each other one.
    """
    counts: dict[str, dict[str, int]] = {}
    for recording in recordings:
        of_label = counts.setdefault(plain_label(recording.label), {})
        of_label[recording.label] = of_label.get(recording.label, 0) + 1
    chosen = {}
    for spellings in counts.values():
        usual = max(spellings, key=lambda label: (spellings[label], label))
        chosen.update({label: usual for label in spellings if label != usual})
    return chosen
