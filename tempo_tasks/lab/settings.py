"""What every command of the laboratory is told: the tasks, the model, and where its run goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every command of the laboratory is told; `check_settings` checks it.

    Attributes:
        tasks: Names of tasks or groups.
        model: Hub id or folder; None for the embedded model.
        model_args: Further arguments of the model class `lalm`.
        device: As for `lm_eval --device`.
        limit: Only the first items of each task.
        metadata: As `lm_eval --metadata`.
        batch_size: Items in one prefill; None for as many as fit, up to 8.
        memory: Bytes that the variants running at once may take, roughly; None for a default.
        seed: Seed of everything random.
        shard: (i, n) for part i of n.
        out: The run folder; None for one under `runs/`, named after the run's content.
    """

    tasks: Sequence[str]
    model: str | None = None
    model_args: Mapping[str, Any] | None = None
    device: str | None = None
    limit: int | None = None
    metadata: Mapping[str, Any] | None = None
    batch_size: int | None = None
    memory: int | None = None
    seed: int = 0
    shard: tuple[int, int] | None = None
    out: Path | None = None
