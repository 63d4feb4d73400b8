"""The command line: `tempo ...`, also as `python -m tempo_tasks ...`.

Heavy imports wait until a command needs them, so `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tempo_tasks.audit.audit_command import add_commands as add_audit
from tempo_tasks.data.commands import app as data_app
from tempo_tasks.doctor.doctor_command import add_commands as add_doctor
from tempo_tasks.lab.cli import add_commands as add_laboratory
from tempo_tasks.leaderboard.leaderboard_command import add_commands as add_leaderboard
from tempo_tasks.plots.plot_command import add_commands as add_plot
from tempo_tasks.predictions.score_command import add_commands as add_score
from tempo_tasks.push_command import add_commands as add_push
from tempo_tasks.report.report_command import add_commands as add_report
from tempo_tasks.serve_command import add_commands as add_serve
from tempo_tasks.stats.stats_command import add_commands as add_stats
from tempo_tasks.submission.validate_command import add_commands as add_submission

app = typer.Typer(
    name="tempo",
    no_args_is_help=True,
    add_completion=False,
    help="Does this audio language model hear time?",
)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def run(context: typer.Context) -> None:
    """Run lm_eval with tempo's model and tasks; takes lm_eval's own arguments.

    Works where the start-up registration does not (`python -S`, `pip install --target`,
    `TEMPO_NO_AUTOLOAD=1`). Example: tempo run --model lalm --tasks tempo_synth_eo_aqa --limit 20
    """
    from tempo_tasks.harness.run_command import run as run_harness

    run_harness(context.args)


@app.command()
def demo(
    batch_size: Annotated[int, typer.Option(min=1, help="Questions a batch.")] = 32,
    scenes: Annotated[
        int | None, typer.Option(min=1, help="Fewer scenes, for a quick look.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Also write the results as JSON.")] = None,
) -> None:
    """Score the embedded model on the 12 tempo_synth tasks and print the table."""
    from tempo_tasks.output_files import check_output

    check_output(output, folder=False, option="--output")
    from tempo_tasks.harness.demo import run_demo

    results = run_demo(batch_size=batch_size, scenes=scenes, output=output)
    table = Table(title="tempo_synth, embedded model: accuracy % (standard error, by clip)")
    table.add_column("condition")
    for column in ("earliest onset", "latest offset", "longest duration", "macro average"):
        table.add_column(column, justify="right")
    for condition, cells in results.items():
        table.add_row(condition, *cells)
    Console(width=100).print(table)
    typer.echo("Chance is 25 %. The same by lm_eval: lm_eval --model lalm --tasks tempo_synth")


@app.command()
def version() -> None:
    """Print the versions that a bug report needs."""
    from importlib import metadata

    import tempo_tasks

    typer.echo(f"tempo-lalm {tempo_tasks.__version__}")
    for name in ("lm-eval", "transformers", "torch", "datasets"):
        typer.echo(f"{name} {metadata.version(name)}")


add_doctor(app)
app.add_typer(data_app, rich_help_panel="Benchmark")
add_audit(app)
add_score(app)
add_stats(app)
add_plot(app)
add_report(app)
add_submission(app)
add_leaderboard(app)
add_laboratory(app)
add_push(app)
add_serve(app)


def main() -> None:
    """Entry point; a user's mistake ends with its message, not with a traceback."""
    from tempo_attn.errors import TempoError

    try:
        app()
    except TempoError as error:
        Console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: ", end="")
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
