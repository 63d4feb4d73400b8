"""Granite Speech: Conformer encoder, Q-Former windows of three positions, Granite decoder."""

from __future__ import annotations

from tempo_attn.families.base import Family


class GraniteSpeech(Family):
    """Granite Speech 3.x (arXiv 2505.08699) and its Plus models.

    Checkpoints bring a LoRA of their own for speech; it changes the projections of the decoder's
    attention modules, not the modules. Layers of a hybrid decoder without attention are None.
    """

    name = "granite-speech"
    model_types = ("granite_speech", "granite_speech_plus")
    no_processor = "its feature extractor needs torchaudio, which tempo does not depend on"
