"""What was given to a report, told apart: harness runs, laboratory folders, choices, audits, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tempo_attn.errors import ConfigError, OptionError
from tempo_attn.files.strict_json import parse_json, parse_json_object
from tempo_attn.lab.run_folder.files import MANIFEST
from tempo_attn.lab.run_folder.folder import Run as LaboratoryRun
from tempo_attn.lab.run_folder.folder import read_run
from tempo_attn.lab.sweep.choice import Choice
from tempo_tasks.doctor.diagnosis import FORMAT as DIAGNOSIS
from tempo_tasks.doctor.diagnosis import Diagnosis
from tempo_tasks.stats.runs import Run, read_runs, split_name

AUDIT = "audit.json"
CHOICE = "choice.json"
AUDIT_FORMAT = 1


@dataclass(frozen=True)
class Inputs:
    """What a report is made of.

    Attributes:
        runs: Runs of the harness.
        laboratory: Run folders of the laboratory, each with what the page calls it.
        choices: What `tempo choose` wrote, each with what the page calls it.
        audits: Results of `tempo audit`, as `tempo_tasks.audit.assemble` describes them.
        diagnoses: What `tempo doctor --json` wrote, each with what the page calls it.
    """

    runs: Sequence[Run] = ()
    laboratory: Sequence[tuple[str, LaboratoryRun]] = ()
    choices: Sequence[tuple[str, Choice]] = ()
    audits: Sequence[Mapping[str, Any]] = field(default=())
    diagnoses: Sequence[tuple[str, Diagnosis]] = ()


def read_inputs(given: Sequence[str]) -> Inputs:
    """Read everything that a report is asked for, in the order given.

    Args:
        given: Folders that lm_eval wrote or their `results_*.json`; run folders of the laboratory;
            `choice.json` or its folder; `audit.json` or its folder; the JSON of `tempo doctor`.
            `NAME=PATH` names one.

    Raises:
        OptionError: Nothing is given, a folder twice, or a file that is no audit or diagnosis.
        SamplesError: See `read_runs`.
        RunFolderError: See `read_run`.
    """
    if not given:
        raise OptionError("no run is given; expected folders of lm_eval, of tempo, or an audit")
    harness: list[str] = []
    laboratory: list[tuple[str, LaboratoryRun]] = []
    choices: list[tuple[str, Choice]] = []
    audits: list[Mapping[str, Any]] = []
    diagnoses: list[tuple[str, Diagnosis]] = []
    for argument in given:
        name, path = split_name(argument)
        if (path / MANIFEST).is_file():
            if any(run.folder.resolve() == path.resolve() for _, run in laboratory):
                raise OptionError(f"{path} is given twice; expected different runs")
            laboratory.append((name or path.resolve().name, read_run(path)))
        elif (choice := _choice_at(path)) is not None:
            choices.append((name or choice.resolve().parent.name, _read_choice(choice)))
        elif (file := _result_at(path)) is not None:
            found = _read_result(file)
            if isinstance(found, Diagnosis):
                diagnoses.append((name or found.facts.name, found))
            else:
                audits.append(found)
        else:
            harness.append(argument)
    runs = read_runs(harness) if harness else []
    return Inputs(runs, laboratory, choices, audits, diagnoses)


def _choice_at(path: Path) -> Path | None:
    """Return the choice that a path names; None where it is something else."""
    found = path / CHOICE if path.is_dir() else path
    return found if found.name == CHOICE and found.is_file() else None


def _read_choice(path: Path) -> Choice:
    try:
        return Choice.from_dict(parse_json_object(path.read_bytes(), path.name))
    except (OSError, ConfigError) as error:
        raise OptionError(
            f"{path}: cannot be read as a choice ({error}); expected what `tempo choose` wrote"
        ) from None


def _result_at(path: Path) -> Path | None:
    """Return the audit or diagnosis that a path names; None where it is something else."""
    if path.is_dir() and (path / AUDIT).is_file() and not any(path.rglob("samples_*.jsonl")):
        return path / AUDIT
    is_file = path.is_file() and path.suffix == ".json" and not path.name.startswith("results_")
    return path if is_file else None


def _read_result(path: Path) -> Mapping[str, Any] | Diagnosis:
    try:
        found = parse_json(path.read_bytes(), finite=True)
    except (OSError, ValueError) as error:
        raise OptionError(
            f"{path}: cannot be read as an audit ({error}); expected the audit.json of "
            "`tempo audit DATA --out FOLDER`"
        ) from None
    if isinstance(found, dict) and DIAGNOSIS in found:
        try:
            return Diagnosis.from_dict(found)
        except ValueError as error:
            raise OptionError(f"{path}: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("parts"), list):
        raise OptionError(
            f"{path}: no audit; expected the audit.json of `tempo audit DATA --out FOLDER`, the "
            "JSON of `tempo doctor --json`, a results_*.json of lm_eval, or a folder"
        )
    if found.get("format") != AUDIT_FORMAT:
        raise OptionError(
            f"{path}: an audit of format {found.get('format')!r}; this version of tempo reads "
            f"format {AUDIT_FORMAT}: audit the data again"
        )
    return found
