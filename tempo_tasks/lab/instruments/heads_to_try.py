"""From a finished `tempo heads` to what `tempo try-heads` tries: items, edit and sets of heads.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tempo_attn.lab.heads.records import HeadRecord
    from tempo_attn.lab.run_folder.folder import Run
    from tempo_attn.lab.sweep.grid import Variant
    from tempo_attn.lab.try_heads.records import HeadSet


@dataclass(frozen=True, kw_only=True)
class TryHeadsRequest:
    """What a trial of heads is asked for.

    Attributes:
        run: The run folder of a finished `tempo heads`.
        out: Folder of the trial's run, in `trial`, and of the configuration.
        edit: Mode and strength of the edit; its rows are those that the heads were scored from.
        top: Numbers of best heads.
        random: Random sets of heads for each number.
        target: What the scores are of: attention on audio, on the right event, or on text.
        rows: The query rows of the scores; None where the run has one set.
        kind: Kind of the items; None where the run has one.
        condition: Condition of the items; None where the run has one.
        write: Number of best heads whose edit is written as a configuration; None for none.
        seed: Seed of the halves and of the random sets.
    """

    run: Path
    out: Path
    edit: str = "knockout"
    top: Sequence[int] = (1, 2, 4, 8)
    random: int = 5
    target: str = "audio"
    rows: str | None = None
    kind: str | None = None
    condition: str | None = None
    write: int | None = None
    seed: int = 0


def require_measurement(run: Run) -> None:
    """Check that a run is a whole, finished measurement of heads.

    Raises:
        RunFolderError: It is not.
    """
    from tempo_attn.errors import RunFolderError

    if run.manifest.command != "heads":
        raise RunFolderError(f"is a run of tempo {run.manifest.command}; give one of tempo heads")
    if run.manifest.shard is not None or not run.complete:
        raise RunFolderError(
            "is not a whole, finished run: run the same `tempo heads` again to finish it, or put "
            "its shards together with `tempo merge`"
        )


def scored_records(run: Run, request: TryHeadsRequest) -> tuple[list[HeadRecord], str]:
    """Return the records to choose on and to try, of one kind and condition, and their rows.

    Raises:
        OptionError: The request does not say which of several, or what it says is not in the run.
    """
    from tempo_attn.errors import OptionError
    from tempo_attn.lab.heads.records import TARGETS, HeadRecord
    from tempo_tasks.lab.options import parse_name

    parse_name("--target", request.target, TARGETS)
    records = [HeadRecord.from_dict(record) for record in run.records]
    for name, wanted in (("kind", request.kind), ("condition", request.condition)):
        found = sorted({getattr(record, name) for record in records})
        if wanted is None and len(found) > 1:
            raise OptionError(f"the run has items of several {name}s; add --{name}, one of {found}")
        if wanted is not None:
            parse_name(f"--{name}", wanted, found)
            records = [record for record in records if getattr(record, name) == wanted]
    sets = sorted(records[0].audio) if records else []
    if request.rows is None and len(sets) != 1:
        raise OptionError(f"the run has several sets of rows; add --rows, one of {sets}")
    rows = sets[0] if request.rows is None else parse_name("--rows", request.rows, sets)
    known = [record for record in records if getattr(record, request.target) is not None]
    if not known:
        raise OptionError(
            f"--target {request.target}: the run has no event times; choose audio or text, or "
            "tasks whose intervals are known"
        )
    return known, rows


def edit_of(text: str, rows: str) -> Variant:
    """Return the edit: mode, strength and rows; layers and heads are those of each set.

    Raises:
        OptionError: It is no edit, or has several strengths.
    """
    from tempo_attn.errors import OptionError
    from tempo_attn.lab.sweep.grid import Variant
    from tempo_attn.modes import MODES
    from tempo_tasks.lab.options import parse_edits

    ((mode, strengths),) = parse_edits([text]).items()
    if MODES[mode].has_strength and len(strengths) != 1:
        raise OptionError(f"--edit {text}: expected one strength, such as {mode}=2")
    strength = strengths[0] if MODES[mode].has_strength else None
    return Variant(layers=(0,), rows=tuple(rows.split("+")), mode=mode, strength=strength)


def halves(
    records: Sequence[HeadRecord], rows: str, request: TryHeadsRequest
) -> tuple[list[HeadRecord], list[HeadRecord], list[HeadSet]]:
    """Halve the clusters: heads are chosen on the one half, and tried on the other.

    Returns:
        The records that heads are chosen on, those that they are tried on, and the sets of heads.

    Raises:
        ConfigError: There are no two halves, no scores, or too few heads.
    """
    from tempo_attn.errors import ConfigError
    from tempo_attn.lab.folds import cluster_folds
    from tempo_attn.lab.heads.scores import correlations, masses, rightness
    from tempo_attn.lab.try_heads.records import head_sets

    half = cluster_folds([record.cluster for record in records], 2, request.seed)
    chosen_on = [record for record, part in zip(records, half, strict=True) if part == 0]
    tried_on = [record for record, part in zip(records, half, strict=True) if part == 1]
    values = masses(chosen_on, request.target, rows)
    right = rightness(chosen_on)
    if right.all() or not right.any():
        raise ConfigError(
            f"the {len(right)} items that heads are chosen on are all answered "
            f"{'right' if right.all() else 'wrong'}, so no attention goes with right answers; use "
            "more items or harder ones"
        )
    scores = correlations(values.reshape(len(values), -1), right).reshape(values.shape[1:])
    return chosen_on, tried_on, head_sets(scores, request.top, request.random, request.seed)
