"""Which edit was chosen and what it is worth, as the terminal shows it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from tempo_attn.lab.sweep.choice import Choice


def show(choice: Choice, folder: Path | None) -> None:
    """Show which edit was chosen and what it is worth.

    Args:
        choice: The choice.
        folder: Where its configuration was written; None where no edit helps.
    """
    console = Console(width=100, markup=False)  # a folder's name may look like markup
    for sentence in choice.sentences():
        console.print(sentence)
    if folder is None:
        console.print("Nothing is written: an edit that does not help is nothing to share.")
        return
    console.print(
        f"Written: {folder}. Evaluate it: lm_eval --model lalm --model_args attn_scale={folder} ..."
    )
