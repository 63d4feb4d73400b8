"""What a leaderboard keeps of an accepted bundle, small enough to be kept for the next time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tempo_tasks.submission.schema import About
from tempo_tasks.submission.validate import Verdict


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """An accepted bundle.

    Attributes:
        about: Its `bundle.json`.
        scores: Its rows of accuracy.
        credits: Credit of each item of each task, 0 to 1, in the order of items and rotations.
        has_audit: Whether it has an audit of the data.
    """

    about: About
    scores: Sequence[Mapping[str, Any]]
    credits: Mapping[str, Sequence[float]]
    has_audit: bool

    @classmethod
    def of(cls, verdict: Verdict) -> Accepted:
        """Return what is kept of a bundle that `validate` accepted."""
        assert verdict.accepted
        assert verdict.about is not None
        assert verdict.run is not None
        assert verdict.row is not None
        return cls(
            about=verdict.about,
            scores=verdict.row["scores"],
            credits={
                task.task: [
                    sample.correct for sample in sorted(task.samples, key=lambda sample: sample.key)
                ]
                for task in verdict.run.tasks
            },
            has_audit=verdict.audit is not None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Accepted:
        """Return what `to_dict` gave."""
        return cls(**{**data, "about": About.from_dict(data["about"])})
