"""Adds the address `/tempo/edits` to vLLM's API server.

vLLM loads plugins with addresses only where `VLLM_PLUGINS` names them, which would leave all other
plugins out; whoever sets `TEMPO_ATTN_SCALE` asks for ours by name already.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import vllm.plugins

from tempo_attn.serving.endpoint import EditsEndpoint
from tempo_attn.serving.ledger import open_ledger
from tempo_attn.serving.settings import Settings
from tempo_attn.serving.vllm_facts import version


def hook_endpoint(settings: Settings) -> None:
    """Let vLLM's API server find our plugin."""
    original = vllm.plugins.load_endpoint_plugins
    if hasattr(original, "_tempo"):
        return

    @wraps(original)
    def load_endpoint_plugins(*args: Any, **kwargs: Any) -> list[Any]:
        return [*original(*args, **kwargs), EditsEndpoint(settings, open_ledger(), version())]

    load_endpoint_plugins._tempo = True  # type: ignore[attr-defined]
    vllm.plugins.load_endpoint_plugins = load_endpoint_plugins
