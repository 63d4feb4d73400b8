"""Errors of `tempo_attn`: one root; each also inherits the built-in it refines."""

from __future__ import annotations


class TempoError(Exception):
    """Root of every error that tempo raises for a user's input."""


class UnknownFamilyError(TempoError, ValueError):
    """No family is registered for this checkpoint's `model_type`."""


class UnsupportedModelError(TempoError, ValueError):
    """Attention on audio cannot be edited in this model; the message says why."""


class MissingExtraError(TempoError, ImportError):
    """A package that this kind of model needs is not installed; the message names the extra."""


class TranscriptMissingError(TempoError, ValueError):
    """Transcripts are given, and one of a clip that is heard is not among them."""


class UnsupportedInputError(TempoError, ValueError):
    """These inputs hide where the audio is, or ask for a kernel feature that cannot be edited."""


class NoAudioTokenError(TempoError, ValueError):
    """The checkpoint has no audio placeholder token, so audio has no positions in its prompt."""


class NonFiniteLogitsError(TempoError, ValueError):
    """The model's logits are NaN or infinite; no answer can be read from them."""


class AudioNotDeliveredError(TempoError, ValueError):
    """The audio did not reach the model: a wrong number of placeholders, or no effect at all."""


class ConfigError(TempoError, ValueError):
    """An `AttnScaleConfig` is wrong: a field's value, or the file that should hold it."""


class OptionError(TempoError, ValueError):
    """An option of a command that cannot be: a value, or two that do not go together."""


class AdapterError(TempoError, ValueError):
    """No adapter, or already one, of this name; or the name cannot be used."""


class PositionError(TempoError, ValueError):
    """Query or key positions of an edit cannot be told for a row of the batch."""


class EditNotAppliedError(TempoError, RuntimeError):
    """An edit is active and a forward with audio went by without it."""


class RunFolderError(TempoError, ValueError):
    """A run folder that cannot be used: foreign, damaged, of another version, or not writable."""


class RunMismatchError(RunFolderError):
    """A run folder holds another run than this one; the message lists every difference."""


class RunLockedError(RunFolderError):
    """Another process is writing to this run folder."""


class FingerprintError(TempoError, ValueError):
    """No fingerprint can be taken: weights that are not loaded, data that are not JSON, no code."""
