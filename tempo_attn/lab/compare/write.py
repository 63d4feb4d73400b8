"""The tables and the figure of a run of `tempo compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.sweep.figures import mass_against_change
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.sweep.write import SweepReport, write_tables


@dataclass(frozen=True)
class _Settings:
    """Settings of a comparison that its figure and its table in the terminal depend on.

    Attributes:
        variants: Every variant that was run, as JSON data.
        matches: Numbers of a scaling and of the constant bias beside it, for every scaling.
    """

    variants: Sequence[Mapping[str, Any]]
    matches: Sequence[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class CompareReport(SweepReport):
    """What was written of a comparison.

    Attributes:
        matches: Each scaling with the constant bias of the same mean audio mass.
    """

    matches: Sequence[tuple[Variant, Variant]]


def write(run: Run) -> CompareReport:
    """Write a sweep's tables, and the figure of audio mass against change of accuracy."""
    report = write_tables(run)
    figures = mass_against_change(report.effects, run.folder / "mass")
    own = run.manifest.settings.own(_Settings)
    variants = [Variant.from_dict(variant) for variant in own.variants]
    return CompareReport(
        effects=report.effects,
        matches=[(variants[scaling], variants[bias]) for scaling, bias in own.matches],
        summary=report.summary,
        files=[*report.files, *figures],
    )
