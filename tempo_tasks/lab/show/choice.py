"""Which edit was chosen and what it is worth, as the terminal shows it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from tempo_attn.lab.sweep.choose import Choice


def show(choice: Choice, folder: Path | None) -> None:
    """Show which edit was chosen and what it is worth.

    Args:
        choice: The choice.
        folder: Where its configuration was written; None where no edit helps.
    """
    console = Console(width=100, markup=False)  # a folder's name may look like markup
    low, high = choice.interval
    console.print(
        f"Chosen on all {choice.n} items of {choice.n_clusters} clusters: "
        + (
            "no edit: none is better than leaving the model alone."
            if choice.variant is None
            else choice.variant.name
        )
    )
    console.print(
        f"On clusters that it was not chosen on: {100 * choice.held_out:+.1f} points "
        f"({100 * low:+.1f} to {100 * high:+.1f}, 95 % by cluster; p = {choice.p_procedure:.3f})."
    )
    console.print(
        f"On the very items that it was chosen on: {100 * choice.apparent:+.1f} points; the "
        f"difference, {100 * choice.optimism:+.1f}, is what choosing on the test items pretends."
    )
    if folder is None:
        console.print("Nothing is written: an edit that does not help is nothing to share.")
        return
    if not low > 0:
        console.print("The interval does not exclude zero: there is no evidence that it helps.")
    console.print(
        f"Written: {folder}. Evaluate it: lm_eval --model lalm --model_args attn_scale={folder} ..."
    )
