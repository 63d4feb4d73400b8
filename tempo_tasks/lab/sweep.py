"""The command `tempo sweep`: edits of attention at every layer, strength and set of query rows.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.shared_options import (
    ROWS,
    SCALE,
    Edit,
    Engine,
    Heads,
    Layers,
    Nulls,
    Rows,
    Source,
    takes_settings,
    tell,
)

if TYPE_CHECKING:
    from tempo_tasks.lab.grid_request import GridRequest
    from tempo_tasks.lab.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """What a sweep is asked for.

    Attributes:
        grid: The edits.
        engine: "auto", "fast" or "full".
        n_generated: How many items are also answered by generation, to tell how well the letters'
            logits stand for it.
    """

    grid: GridRequest
    engine: str = "auto"
    n_generated: int = 50


@takes_settings("memory", "out", "shard", "seed")
def sweep(
    settings: Settings,
    edit: Edit = SCALE,
    layers: Layers = "each",
    rows: Rows = ROWS,
    heads: Heads = "all",
    nulls: Nulls = "sign",
    source: Source = "",
    engine: Engine = "auto",
    generate: Annotated[
        int, typer.Option(help="Items that are also answered by generation, as a check.")
    ] = 50,
) -> None:
    """Edit attention on audio at every layer, strength and set of rows, and table the effects.

    Example: tempo sweep --tasks tempo_synth_eo_aqa --limit 100 --edit scale=0.5,2 --out my-sweep
    """
    from tempo_tasks.lab.grid_request import parse_grid

    grid = parse_grid(edit, layers, rows, heads, nulls=nulls, source=source)
    tell(run_sweep(settings, SweepRequest(grid=grid, engine=engine, n_generated=generate)))


def run_sweep(settings: Settings, request: SweepRequest) -> Outcome | None:
    """Run a grid of edits and write its tables.

    Returns:
        None in a process that is not the one that writes tables.

    Raises:
        OptionError: Something is wrong with the settings or the request.
    """
    from tempo_attn.errors import OptionError
    from tempo_tasks.lab.options import parse_engine
    from tempo_tasks.lab.outcome import written
    from tempo_tasks.lab.run_variants import run_variants
    from tempo_tasks.lab.study import Study

    engine = parse_engine(request.engine)
    if request.n_generated < 0:
        raise OptionError(f"--generate {request.n_generated}: expected 0 items or more")
    study = Study(settings, request.grid.variants)
    variants = request.grid.variants(study)
    return written(
        study, run_variants(study, variants, engine=engine, n_generated=request.n_generated)
    )
