"""The address `/tempo/edits` of a server: its configurations, and what was edited."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tempo_attn.hub.config_file import library_version
from tempo_attn.serving.ledger import Ledger
from tempo_attn.serving.settings import NO_EDIT, Settings


def overview(settings: Settings, ledger: Ledger, model: str, vllm_version: str) -> dict[str, Any]:
    """Return what `GET /tempo/edits` answers.

    Args:
        settings: What the server was started with.
        ledger: Its ledger.
        model: The served model's name.
        vllm_version: vLLM's version.
    """
    default = settings.default
    return {
        "tempo_attn": library_version(),
        "vllm": vllm_version,
        "model": model,
        "configurations": {
            name: {"sha256": config.fingerprint(), "config": config.to_dict()}
            for name, config in settings.configurations.items()
        },
        "default": None if default == NO_EDIT else default,
        "choice_required": default is None,
        "on_missing": "skip" if settings.skip_missing else "raise",
        "workers": ledger.workers(),
        "totals": ledger.totals(),
    }


class EditsEndpoint:
    """A plugin of vLLM's group `vllm.endpoint_plugins`, which adds the two addresses."""

    name = "tempo_attn_scale"
    required_tasks = None

    def __init__(self, settings: Settings, ledger: Ledger, vllm_version: str) -> None:
        self._settings, self._ledger, self._version = settings, ledger, vllm_version

    def attach_router(self, app: Any) -> None:
        """Add the addresses to a FastAPI application."""
        from fastapi.responses import JSONResponse

        def edits() -> JSONResponse:
            model = served_name(app.state.args)
            return JSONResponse(overview(self._settings, self._ledger, model, self._version))

        def edits_of(request_id: str) -> JSONResponse:
            found = self._ledger.of_request(request_id)
            if found is None:
                return JSONResponse({"error": {"message": _UNKNOWN, "code": 404}}, 404)
            return JSONResponse(found)

        app.add_api_route("/tempo/edits", edits, methods=["GET"], response_model=None)
        app.add_api_route(
            "/tempo/edits/{request_id}", edits_of, methods=["GET"], response_model=None
        )

    async def init_state(self, engine_client: Any, state: Any, args: Any) -> None:
        """Nothing is kept on the application."""


_UNKNOWN = (
    "no such request, or no longer: send the header X-Request-Id with a request, and ask by its "
    "value"
)


def served_name(args: Any) -> str:
    """Return the name under which a model is served; a folder counts by its name."""
    names = getattr(args, "served_model_name", None)
    if names:
        return str(names[0] if isinstance(names, list) else names)
    model = str(getattr(args, "model", None) or getattr(args, "model_tag", None) or "unknown")
    return Path(model).name if os.path.isdir(model) else model
