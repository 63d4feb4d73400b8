"""Models that listen, but in which attention on audio cannot be edited, and why."""

from __future__ import annotations

_ADDED = (
    "it adds audio to the embedding of every text token, so no position of its prompts is audio "
    "and there is nothing to scale"
)
_ENCODER_DECODER = (
    "its decoder reads audio by cross-attention to an encoder, so no position of its prompts is "
    "audio; scaling would need the cross-attention, which tempo does not edit"
)
_FEW_LAYERS_ATTEND = (
    "only a few layers of its decoder attend; through the others, which keep a state, audio "
    "reaches the answer past every edit"
)
_PHI4_REMOTE = (
    "it is its authors' own code; transformers' class of the same model is in another revision of "
    "the repository, microsoft/Phi-4-multimodal-instruct with revision=refs/pr/70"
)

REFUSED: dict[str, str] = {
    "voxtral_realtime": _ADDED,
    "kyutai_speech_to_text": _ADDED,
    "moshi": _ADDED,
    "whisper": _ENCODER_DECODER,
    "nemotron_h_omni": _FEW_LAYERS_ATTEND,
    "phi4mm": _PHI4_REMOTE,
}
"""Reasons by `model_type`; they follow "cannot edit attention on audio in a ... model: "."""
