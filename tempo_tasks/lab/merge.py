"""The command `tempo merge`: the shards of a run put together.

Heavy imports wait until the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempo_tasks.lab.shared_options import tell

if TYPE_CHECKING:
    from tempo_tasks.lab.outcome import Outcome


def merge(
    runs: Annotated[list[Path], typer.Argument(help="The run folders of all shards.")],
    out: Annotated[Path, typer.Option(help="The new run folder.")],
) -> None:
    """Put the shards of a run together: the same numbers as one run.

    Example: tempo merge part-0 part-1 --out whole
    """
    tell(run_merge(runs, out))


def run_merge(runs: Sequence[Path], out: Path) -> Outcome:
    """Put the shards of a run together and write its tables.

    Args:
        runs: The run folders of all shards, in any order.
        out: The new run folder.

    Raises:
        OptionError: Nothing can be written to `out`.
        RunFolderError: They are not all the shards of one run, or one is not finished.
    """
    from tempo_attn.lab.run_folder.folder import merge_runs
    from tempo_tasks.lab.outcome import Outcome, reading, write_tables
    from tempo_tasks.output_files import check_output

    check_output(out, folder=True)
    run = merge_runs(runs, out)
    with reading(out):
        return Outcome(out, write_tables(run))
