"""The command `tempo data tasks`. Heavy imports wait until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tasks(
    description: Annotated[
        Path, typer.Argument(help="YAML description of a set (docs/other_benchmarks.md).")
    ],
    out: Annotated[Path, typer.Option(help="New folder for the task files.")],
) -> None:
    """Write the lm_eval tasks of a benchmark that you describe in a small YAML file.

    Example: tempo data tasks myset.yaml --out my-tasks, then lm_eval --include_path my-tasks
    --tasks tempo_myset_aqa with TEMPO_DATA_MYSET=COPY
    """
    from tempo_tasks.errors import DataUnavailableError
    from tempo_tasks.harness.benchmark_files import write_task_files
    from tempo_tasks.output_files import check_output
    from tempo_tasks.sources.benchmarks.description import describe, read_keys

    check_output(out, folder=True)
    if not description.is_file():
        raise DataUnavailableError(
            f"there is no file {description.absolute()}; expected a description of a benchmark"
        )
    keys = read_keys(description)
    groups = write_task_files(keys, out)
    variable = describe(keys).variable
    typer.echo(f"In {out}: the groups {', '.join(groups)}")
    typer.echo(
        f"Score one: {variable}=COPY lm_eval --model lalm --include_path {out} --tasks {groups[0]}"
    )
