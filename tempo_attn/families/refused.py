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

_NOISE = (
    "its encoder draws random noise for every clip in every forward, so no run can be repeated and "
    "none compared with another"
)
_MORE_THAN_ATTENTION = (
    "its attention adds a learned bias of distances to the logits, and short convolutions carry "
    "audio to later positions in every layer; both reach the answer past an edit"
)
_INDEXED = (
    "layers of its decoder attend only to keys that an indexer of their own has chosen, and which "
    "those are an edit of attention cannot say"
)
_GATED = (
    "its layers weigh attention against the residual stream by gates of their own, and on a small "
    "model the laboratory's fast engine, lens and traces did not agree with plain forwards"
)

_NO_LANGUAGE_MODEL = (
    "it transcribes out of its encoder alone (CTC or a transducer): there is no prompt, and no "
    "decoder whose attention could be edited"
)
_NO_EARS = (
    "transformers' class of it takes text and images alone; what its checkpoints have for sound is "
    "left out when they are loaded"
)

REFUSED: dict[str, str] = {
    "voxtral_realtime": _ADDED,
    "kyutai_speech_to_text": _ADDED,
    "moshi": _ADDED,
    "whisper": _ENCODER_DECODER,
    "vibevoice_asr": _NOISE,
    "inkling": _MORE_THAN_ATTENTION,
    "dots3_note": _INDEXED,
    "muse_spark": _GATED,
    "nemotron_h_omni": _FEW_LAYERS_ATTEND,
    "nemo_speechlm": _FEW_LAYERS_ATTEND,
    "granite_speech5_ctc": _NO_LANGUAGE_MODEL,
    "omniasr_ctc": _NO_LANGUAGE_MODEL,
    "nemotron3_5_asr": _NO_LANGUAGE_MODEL,
    "cosmos3_omni": _NO_EARS,
    "phi4mm": _PHI4_REMOTE,
}
"""Reasons by `model_type`; they follow "cannot edit attention on audio in a ... model: "."""
