"""Numbers as the terminal shows them, and the sentences about a sweep that follow its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console


def percent(share: float | None) -> str:
    """Return a share from 0 to 1 in percent; "-" where it is undefined."""
    return "-" if share is None else f"{100 * share:.1f}"


def p_value(p: float | None) -> str:
    """Return a p that tables hold with six decimals; "-" where it is undefined."""
    if p is None:
        return "-"
    return f"{p:.2g}" if p else "< 1e-6"


def points(change: float, low: float, high: float) -> str:
    """Return a change from -1 to 1 with its interval, in percentage points."""
    return f"{100 * change:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def show_summary(about: Mapping[str, Any]) -> None:
    """Show what a reader must know of a sweep: `summary` of `tempo_attn.lab.sweep.write`."""
    console = Console(width=120)
    agreed, control = about["generation"], about["recomputed_control"]
    console.print(
        f"{about['n']} items of {about['n_clusters']} clusters, "
        f"{about['n_variants']} variants each ({' and '.join(about['engine'])}); without an edit "
        f"{100 * about['plain_accuracy']:.1f} % are right."
    )
    if agreed["n"]:
        console.print(
            f"Generation names the letter with the highest logit for {agreed['n_agree']} of "
            f"{agreed['n']} items ({agreed['n_unparsed']} name none)."
        )
    console.print(
        f"Recomputing rows alone moves logits by at most {control['logits']:.1e} and "
        f"{control['n_changed']} answers; effects are against these controls."
    )
