"""The command `tempo submit`; heavy imports wait until it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tempo_tasks.stats.runs import Run
    from tempo_tasks.submission.asked_documents import AskedData
    from tempo_tasks.submission.schema import About


def submit(
    run: Annotated[
        str,
        typer.Argument(
            help="A folder that lm_eval wrote with --output_path and --log_samples, its "
            "results_*.json, or what `tempo score` wrote.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The bundle: a folder, or a file named *.zip.")
    ],
    label: Annotated[
        str | None, typer.Option(help="Name of the entry; default: the model's.")
    ] = None,
    organization: Annotated[str | None, typer.Option(help="Who submits.")] = None,
    model_url: Annotated[str | None, typer.Option(help="Page of the model, https://...")] = None,
    results_url: Annotated[
        str | None, typer.Option(help="Page of the results, https://...")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", "--license", help="Licence of the submission.")
    ] = None,
    contact: Annotated[str | None, typer.Option(help="Where to ask.")] = None,
    notes: Annotated[str | None, typer.Option(help="A sentence for the entry's page.")] = None,
    hub_dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set on the Hub that .eval_results name; default: the released one, where "
            "the run asked it."
        ),
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(help="The data's audit.json; default: made here where the data can be had."),
    ] = None,
    no_audit: Annotated[bool, typer.Option("--no-audit", help="Leave the audit out.")] = False,
    data: Annotated[
        str | None,
        typer.Option(help="For the audit: the data, where the run's own settings do not lead."),
    ] = None,
    intervals: Annotated[
        list[Path] | None, typer.Option(help="For the audit: interval CSV, several times.")
    ] = None,
    captions: Annotated[Path | None, typer.Option(help="For the audit: caption CSV.")] = None,
    push: Annotated[
        str | None,
        typer.Option(metavar="REPO", help="Model repository on the Hub: show the push."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send it. Without, it is only shown.")] = False,
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is private.")
    ] = False,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Propose it as a pull request.")
    ] = False,
) -> None:
    """Write a run as a bundle that a leaderboard can check; the same run gives the same bytes.

    Example: tempo submit out/my-model -o my-bundle --organization "My Lab"
    """
    from tempo_attn.errors import OptionError
    from tempo_tasks.submission import write_bundle
    from tempo_tasks.submission.about_run import about_run, results_of
    from tempo_tasks.submission.asked_documents import AskedData
    from tempo_tasks.submission.make_bundle import stage_bundle
    from tempo_tasks.submission.schema import Links
    from tempo_tasks.submission.validate import texts_that_cannot_be

    write_bundle.check_place(out)
    if audit is not None and no_audit:
        raise OptionError("--audit and --no-audit do not go together; leave one out")
    if push is None and (yes or private or create_pr):
        raise OptionError("--yes, --private and --create-pr are for --push REPO; name one")
    if push is not None:
        from tempo_tasks.submission.push_bundle import check_repo

        check_repo(push)
        if write_bundle.is_zip(out):
            raise OptionError(f"--push sends a folder, and --out {out} is a zip; name a folder")
    found = _one_run(run)
    results = results_of(found)
    links = Links(
        organization=organization,
        model_url=model_url,
        results_url=results_url,
        licence=licence,
        contact=contact,
        notes=notes,
    )
    about = about_run(found, results, links, label=label, hub_dataset=hub_dataset)
    if wrong := list(texts_that_cannot_be(about)):
        raise OptionError(f"{wrong[0]}. Options name these texts; correct them")
    given = None
    if not no_audit:
        where = AskedData(data or _data_of(results), tuple(intervals or ()), captions)
        given = _read_audit(audit, about) if audit is not None else _audit(about, where)
    with write_bundle.placed(out) as stage:
        names = stage_bundle(stage, found, results, about, given)
    typer.echo(
        f"In {out}: {len(about.tasks)} tasks, {len(names)} files. Check it: tempo validate {out}"
    )
    if not any(name.startswith(".eval_results/") for name in names):
        typer.echo(
            "No .eval_results: they name a data set of the Hub, and these data are none "
            "(--hub-dataset names one)"
        )
    if push is not None:
        _push(out, about, push, yes=yes, private=private, create_pr=create_pr)


def _one_run(given: str) -> Run:
    from tempo_tasks.errors import SubmissionError
    from tempo_tasks.stats.runs import read_runs

    runs = read_runs([given])
    if len(runs) > 1:
        raise SubmissionError(
            f"{given}: {len(runs)} runs ({', '.join(run.label for run in runs[:5])}); expected "
            "one. Name a folder below it, or one results_*.json"
        )
    return runs[0]


def _data_of(results: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return where the run itself had its data from: its own machine's affair, never written."""
    from tempo_tasks.stats.run_files import entry_at

    found = {entry_at(results[task], "configs", task, "metadata", "data") for task in results}
    named = sorted(str(data) for data in found if data)
    return named[0] if len(named) == 1 else None


def _read_audit(path: Path, about: About) -> Mapping[str, Any]:
    """Return an audit, without its parts on kinds that the run was not asked."""
    from tempo_attn.errors import OptionError
    from tempo_attn.files.strict_json import parse_json
    from tempo_tasks.audit.parts import ALL
    from tempo_tasks.stats.names import parse_task

    try:
        found = parse_json(path.read_bytes(), finite=True)
        if not isinstance(found, dict) or not isinstance(found.get("parts"), list):
            raise ValueError("no audit")
        audited = {part["kind"] for part in found["parts"]} - {ALL}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise OptionError(
            f"--audit {path}: {error}; expected the audit.json of `tempo audit DATA --out FOLDER`"
        ) from None
    asked = {name.kind for task in about.tasks if (name := parse_task(task))}
    if missing := sorted(asked - audited):
        raise OptionError(
            f"--audit {path}: has no part on {', '.join(missing)}, which the run was asked; "
            "expected an audit of the run's data. Audit them, or leave the option out"
        )
    kept = asked | ({ALL} if asked == audited else set())
    return {**found, "parts": [part for part in found["parts"] if part["kind"] in kept]}


def _audit(about: About, data: AskedData) -> Mapping[str, Any] | None:
    from tempo_attn.errors import TempoError

    try:
        return data.audit(about)
    except TempoError as error:
        reason = " ".join(str(error).split())
        typer.echo(f"No audit, for the data cannot be had: {reason}", err=True)
        return None


def _push(out: Path, about: About, repo: str, *, yes: bool, private: bool, create_pr: bool) -> None:
    from huggingface_hub import constants

    from tempo_tasks.submission.push_bundle import push_bundle, to_send

    files = to_send(out, about)
    typer.echo(f"{out} -> {constants.ENDPOINT}/{repo}{', private' if private else ''}")
    width = max(map(len, files))
    for name, file in files.items():
        typer.echo(f"  {name:{width}}  {file.stat().st_size:10,} bytes")
    if not yes:
        typer.echo("Nothing was sent; the same command with --yes sends it")
        return
    url = push_bundle(files, repo, private=private or None, create_pr=create_pr)
    typer.echo(f"Sent: {url}")
