"""What a task's name says: tempo[_synth][_hard]_{kind}_{condition}[_rot|_promptN][_ll|_text]."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tempo_tasks.questions.questions import Kind

KINDS = tuple(kind.value for kind in Kind)
CONDITIONS = ("aqa", "cqa", "acqa", "silence", "mirror")
GENERATION = "generation"
SCORINGS = {"": GENERATION, "ll": "letters", "text": "option text"}
"""What a suffix says about how the answer is found."""

_PROMPT = re.compile(r"prompt(\d+)")


@dataclass(frozen=True, slots=True)
class TaskName:
    """The parts of a task's name; their order in the name does not matter.

    Attributes:
        source: What is asked about, such as "tempo", "tempo_synth", "tempo_synth_hard".
        kind: eo, lo or ld.
        condition: aqa, cqa, acqa, silence or mirror.
        scoring: A value of `SCORINGS`.
        prompt: Number of the phrasing; None for the default one.
        rotated: Whether the options are asked in all four rotations.
    """

    source: str
    kind: str
    condition: str
    scoring: str = GENERATION
    prompt: int | None = None
    rotated: bool = False

    @property
    def variant(self) -> str:
        """How the question is put, apart from source and condition; empty for the default."""
        parts = ["rot"] if self.rotated else []
        return "_".join([*parts, *([f"prompt{self.prompt}"] if self.prompt is not None else [])])

    def but(self, **changes: str | int | bool | None) -> TaskName:
        """Return the name with some parts replaced: the key of tasks that differ in them alone."""
        return replace(self, **changes)  # type: ignore[arg-type]


def parse_task(name: str) -> TaskName | None:
    """Return the parts of one of our tasks' names; None for another task's."""
    parts = name.split("_")
    kinds = [part for part in parts if part in KINDS]
    conditions = [part for part in parts if part in CONDITIONS]
    if parts[0] != "tempo" or len(kinds) != 1 or len(conditions) != 1:
        return None
    scorings = [part for part in parts if part in SCORINGS and part]
    prompts = [found for part in parts if (found := _PROMPT.fullmatch(part))]
    if len(scorings) > 1 or len(prompts) > 1:
        return None
    known = {*kinds, *conditions, *scorings, "rot", *(found[0] for found in prompts)}
    return TaskName(
        source="_".join(part for part in parts if part not in known),
        kind=kinds[0],
        condition=conditions[0],
        scoring=SCORINGS[scorings[0] if scorings else ""],
        prompt=int(prompts[0][1]) if prompts else None,
        rotated="rot" in parts,
    )


_OTHER = re.compile(
    r"(tempo_(?!synth_|hard_)[a-z][a-z0-9]*)_([a-z][a-z0-9]*)_(aqa|silence)(?:_(ll|text))?"
)


def parse_other(name: str) -> TaskName | None:
    """Return the parts of the name of a task about another benchmark; None for any other task.

    The kind is the benchmark's part. Tasks that ask for a time (`_seconds`) are none: they have no
    accuracy.
    """
    found = _OTHER.fullmatch(name)
    if found is None or parse_task(name) is not None:
        return None
    source, part, condition, scoring = found.groups()
    return TaskName(source, part, condition, SCORINGS[scoring or ""])


def kind_order(kind: str) -> tuple[int, str]:
    """Return what kinds are sorted by: ours as they stand, then other benchmarks' parts."""
    return (KINDS.index(kind), "") if kind in KINDS else (len(KINDS), kind)
