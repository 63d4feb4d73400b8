"""A server goes through all checks; what is found, as JSON and on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

from tempo_tasks.doctor.diagnosis import Finding, Number, status_of
from tempo_tasks.doctor.server_checks import SERVER_CHECKS
from tempo_tasks.doctor.server_examination import server_examination
from tempo_tasks.doctor.show import COLOURS, line
from tempo_tasks.serving.served_model import ServedModel

SCHEMA_VERSION = 1
"""Raised with every change to the JSON that a reader could trip over."""
FORMAT = "tempo_server_doctor"


@dataclass(frozen=True, kw_only=True)
class ServerDiagnosis:
    """All that the doctor found of a server.

    Attributes:
        server: What it is: kind, version, model.
        clip: What was played to it.
        findings: Each check's outcome, in order.
    """

    server: Mapping[str, Any]
    clip: Mapping[str, Number]
    findings: Sequence[Finding]

    @property
    def status(self) -> Literal["passed", "failed"]:
        """Whether no check failed."""
        return status_of(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as JSON data, keys in a fixed order."""
        return {
            FORMAT: SCHEMA_VERSION,
            "status": self.status,
            "server": dict(self.server),
            "clip": dict(self.clip),
            "checks": [asdict(finding) for finding in self.findings],
        }


def diagnose_server(
    served: ServedModel,
    *,
    clip: Path | None = None,
    checkpoint: str | None = None,
    watch: Callable[[Finding], None] = lambda finding: None,
) -> ServerDiagnosis:
    """Run all checks on a server.

    Args:
        served: The model on it.
        clip: An audio file to play; None for a rendered scene.
        checkpoint: Folder or Hub id of the same model, to count its tokens.
        watch: Is told of each check.

    Raises:
        TempoError: The clip cannot be read.
    """
    findings = []
    with server_examination(served, clip=clip, checkpoint=checkpoint) as exam:
        for check in SERVER_CHECKS:
            finding = check.finding(exam)
            watch(finding)
            findings.append(finding)
        return ServerDiagnosis(
            server=served.server.identity(served.model), clip=exam.clip, findings=findings
        )


def show_server_end(diagnosis: ServerDiagnosis, console: Console) -> None:
    """Print what was played, and the verdict."""
    seconds = diagnosis.clip["seconds"]
    line(console, f"\nPlayed {escape(str(diagnosis.clip['name']))}, {seconds} s.")
    counts: Counter[str] = Counter(finding.status for finding in diagnosis.findings)
    told = ", ".join(f"{counts[status]} {status}" for status in COLOURS if counts[status])
    line(console, f"[{COLOURS[diagnosis.status]}]{diagnosis.status}[/]: {told}.")
