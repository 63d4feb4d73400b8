"""Requests as rows: rendered prompts and their clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tempo_tasks.audio import Handle
from tempo_tasks.harness.sharing.ahead import Row

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance


class RenderingModel(Protocol):
    """What is asked of a model."""

    def render(self, context: str, handles: Sequence[Handle]) -> str:
        """Render a context as one user turn."""


def handles_of(request: Instance) -> Sequence[Handle] | None:
    """Return the clips of a request; None where it has no `audio` argument."""
    given = request.args[2] if len(request.args) > 2 else {}
    return given.get("audio")


def rendered(lm: RenderingModel, requests: Sequence[Instance]) -> list[Row]:
    """Return requests as rows; equal contexts are rendered once."""
    rows: list[Row] = []
    known: dict[tuple[str, int], str] = {}
    for request in requests:
        handles = handles_of(request) or []
        key = request.args[0], len(handles)
        if key not in known:
            known[key] = lm.render(request.args[0], handles)
        rows.append((known[key], handles))
    return rows
