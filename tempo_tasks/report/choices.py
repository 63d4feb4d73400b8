"""What `tempo choose` found, as a section of the laboratory's part of the page."""

from __future__ import annotations

from typing import Any

from tempo_attn.lab.sweep.choice import Choice, Fold
from tempo_attn.lab.sweep.grid import Variant


def section_of_choice(name: str, choice: Choice) -> dict[str, Any]:
    """Return what the page shows of a choice, in the form of `laboratory.section_of`.

    Args:
        name: What the page calls it.
        choice: The choice.
    """
    return {
        "name": name,
        "command": "choose",
        "about": [
            ("edit", _named(choice.variant)),
            ("chosen for", f"{choice.objective}, {choice.condition}, {choice.kind or 'all kinds'}"),
            ("items", f"{choice.n:,} in {choice.n_clusters:,} clusters"),
            ("folds", str(choice.folds)),
            ("accuracy without it, held out", f"{100 * choice.control_accuracy:.1f} %"),
            ("accuracy with it, held out", f"{100 * choice.accuracy:.1f} %"),
            ("fix rate", _share(choice.fix_rate)),
            ("break rate", _share(choice.break_rate)),
            ("McNemar's p", f"{choice.p:.4g}"),
            ("seed", str(choice.seed)),
        ],
        "notes": choice.sentences(),
        "tables": [
            {
                "name": "folds",
                "columns": ["fold", "edit", "n", "clusters", "change elsewhere", "change here"],
                "rows": [_row(number, fold) for number, fold in enumerate(choice.per_fold, 1)],
                "numbers": [True, False, True, True, True, True],
                "left_out": 0,
            }
        ],
        "figures": [],
    }


def _named(variant: Variant | None) -> str:
    return "none" if variant is None else variant.name


def _share(value: float | None) -> str:
    return "none to change" if value is None else f"{100 * value:.1f} %"


def _row(number: int, fold: Fold) -> list[str]:
    changes = (f"{100 * fold.training_change:+.1f}", f"{100 * fold.held_out_change:+.1f}")
    return [str(number), _named(fold.variant), str(fold.n), str(fold.n_clusters), *changes]
