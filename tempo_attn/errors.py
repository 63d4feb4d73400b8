"""Errors of `tempo_attn`: one root; each also inherits the built-in it refines."""

from __future__ import annotations


class TempoError(Exception):
    """Root of every error that tempo raises for a user's input."""


class UnknownFamilyError(TempoError, ValueError):
    """No family is registered for this checkpoint's `model_type`."""


class NoAudioTokenError(TempoError, ValueError):
    """The checkpoint has no audio placeholder token, so audio has no positions in its prompt."""


class NonFiniteLogitsError(TempoError, ValueError):
    """The model's logits are NaN or infinite; no answer can be read from them."""


class AudioNotDeliveredError(TempoError, ValueError):
    """The audio did not reach the model: a wrong number of placeholders, or no effect at all."""
