"""What vLLM calls in each of its processes, before models are loaded.

vLLM logs an import that fails and goes on without the plugin: everything that could fail is
therefore imported inside the function, whose errors it does not swallow.
"""

from __future__ import annotations

import os

SERVE = "TEMPO_SERVE"
"""Set by `tempo serve`: also without an edit, checkpoints with another audio window are let in."""


def register() -> None:
    """Hook this process, where the environment asks for it; otherwise do nothing.

    Raises:
        TempoError: A configuration is wrong, or vLLM is not a release that can be edited.
    """
    asked_for = bool(os.environ.get("TEMPO_ATTN_SCALE", "").strip())
    if not asked_for and not os.environ.get(SERVE):
        return
    import vllm

    from tempo_attn.serving.refusals import check_version
    from tempo_attn.serving.settings import read_settings

    if not asked_for:
        from tempo_attn.serving.vllm_worker import hook_workers

        hook_workers(None)
        return
    check_version(str(vllm.__version__))
    settings = read_settings()
    # The other runner runs models without the hooks; whoever asks for it by name is refused.
    os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "0")
    from tempo_attn.serving.vllm_endpoint import hook_endpoint
    from tempo_attn.serving.vllm_server import hook_requests
    from tempo_attn.serving.vllm_worker import hook_workers

    hook_workers(settings)
    hook_requests(settings)
    hook_endpoint(settings)
