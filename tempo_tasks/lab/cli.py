"""The laboratory's commands of `tempo`, one file each; here they are only registered."""

from __future__ import annotations

import typer

from tempo_tasks.lab.choose import choose
from tempo_tasks.lab.compare import compare
from tempo_tasks.lab.instruments.heads import heads
from tempo_tasks.lab.instruments.listen import listen
from tempo_tasks.lab.instruments.steer import steer
from tempo_tasks.lab.instruments.timeline import timeline
from tempo_tasks.lab.instruments.try_heads import try_heads
from tempo_tasks.lab.lens import lens
from tempo_tasks.lab.mass import mass
from tempo_tasks.lab.merge import merge
from tempo_tasks.lab.presets import presets
from tempo_tasks.lab.sweep import sweep
from tempo_tasks.lab.trace import trace


def add_commands(app: typer.Typer) -> None:
    """Add the laboratory's commands to `tempo`."""
    measuring = (sweep, mass, heads, try_heads, listen, lens, trace, timeline, steer)
    for command in (*measuring, choose, compare, presets, merge):
        app.command(rich_help_panel="Laboratory")(command)
