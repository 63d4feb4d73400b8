"""Errors of `tempo_tasks`: one root; each also inherits the built-in it refines."""

from __future__ import annotations

from tempo_attn.errors import TempoError

__all__ = [
    "AntiphaseAudioError",
    "AudioNotFoundError",
    "BadClipsError",
    "BadIntervalsError",
    "BadTableError",
    "BuildMismatchError",
    "BundleError",
    "CacheMismatchError",
    "ChecksumError",
    "DamagedBuildError",
    "DataUnavailableError",
    "DataVersionError",
    "DownloadError",
    "EightBitModelError",
    "EmptyAudioError",
    "EventError",
    "LogprobsError",
    "LongAudioError",
    "MissingCaptionError",
    "MissingIntervalsError",
    "MissingPackageError",
    "NoAudioProcessorError",
    "NoAudioTemplateError",
    "NoMirrorError",
    "NonFiniteAudioError",
    "PredictionsError",
    "PromptError",
    "QuestionError",
    "RemoteCodeError",
    "ReportExtraMissingError",
    "SamplesError",
    "SamplesNotFoundError",
    "ServerError",
    "ServerRefusedError",
    "ServerUnreachableError",
    "ServersDifferError",
    "SubmissionError",
    "TaskFilesMissingError",
    "TempoError",
    "UnreadableAudioError",
    "UnsupportedAudioError",
]


class EventError(TempoError, ValueError):
    """An event or a clip that cannot be: an empty label, an interval that ends before it starts."""


class BadIntervalsError(TempoError, ValueError):
    """Rows of an interval table that cannot be; the message lists every one of them."""


class QuestionError(TempoError, ValueError):
    """Questions cannot be built from what was given, or a question row is malformed."""


class NoMirrorError(TempoError, ValueError):
    """Questions without a mirrored twin: longest duration, or no clip that gives a pair."""


class PromptError(TempoError, ValueError):
    """Options of the harness that would put the prompt together wrongly."""


class CacheMismatchError(TempoError, ValueError):
    """A response cache that holds another model's answers."""


class MissingCaptionError(TempoError, ValueError):
    """A caption condition (CQA, ACQA) was asked for and a clip has no caption."""


class MissingIntervalsError(TempoError, ValueError):
    """Questions that need the times of events, and no clip's are known."""


class DataUnavailableError(TempoError, FileNotFoundError):
    """The benchmark's data cannot be had; the message says how to get them."""


class DataVersionError(TempoError, ValueError):
    """Data of another layout or version than this release reads."""


class AudioNotFoundError(TempoError, FileNotFoundError):
    """An audio file that a question names does not exist."""


class UnreadableAudioError(TempoError, ValueError):
    """An audio file that is truncated, corrupt, changed since it was indexed, or no audio."""


class EmptyAudioError(TempoError, ValueError):
    """An audio file with zero samples."""


class NonFiniteAudioError(TempoError, ValueError):
    """An audio file with NaN or infinite samples."""


class UnsupportedAudioError(TempoError, ValueError):
    """More channels or a higher sampling rate than recordings of sound events have."""


class AntiphaseAudioError(TempoError, ValueError):
    """Channels that cancel each other: their mean, which the model hears, is silent."""


class LongAudioError(TempoError, ValueError):
    """A clip longer than the model can hear; it is never cut silently."""


class BadClipsError(TempoError, ValueError):
    """Several clips cannot be used; the message lists every one of them."""


class TaskFilesMissingError(TempoError, FileNotFoundError):
    """The task YAML files are not where an installation has them."""


class BadTableError(TempoError, ValueError):
    """Rows of a table that cannot be, such as those with more cells than the header; all listed."""


class BuildMismatchError(TempoError, ValueError):
    """A folder holds another build than the one asked for, or files that no build wrote."""


class DamagedBuildError(TempoError, ValueError):
    """Files of a finished build were changed since."""


class ChecksumError(DataVersionError):
    """A file is not the published one: another size or another MD5 sum."""


class DownloadError(DataUnavailableError):
    """A file cannot be fetched; what has arrived is kept, so the same command goes on from it."""


class GenerationArgumentError(TempoError, ValueError):
    """A generation argument with which answers could not be told to their prompts."""


class SamplesNotFoundError(TempoError, FileNotFoundError):
    """No samples where a run should be; the message says how to have them written."""


class SamplesError(TempoError, ValueError):
    """Samples that cannot be read: half-written, of other tasks, or with an item twice."""


class PredictionsError(TempoError, ValueError):
    """Predictions that cannot be scored: rows that cannot be read, or that fit no item."""


class ReportExtraMissingError(TempoError, ImportError):
    """What draws the report page's plots is not installed; the message says how to install it."""


class SubmissionError(TempoError, ValueError):
    """A run of which no submission can be made: cut short, edited, or of unknown data."""


class BundleError(TempoError, ValueError):
    """A submission that cannot be read at all: no bundle, another version, or a hostile file."""


class RemoteCodeError(TempoError, ValueError):
    """A model that runs code of its own repository, which was not allowed."""


class MissingPackageError(TempoError, ImportError):
    """A package that a model or its processor needs and that is not installed."""


class NoAudioProcessorError(TempoError, ValueError):
    """A checkpoint without a processor that takes audio."""


class NoAudioTemplateError(TempoError, ValueError):
    """A checkpoint without a chat template, or with one that leaves audio out."""


class EightBitModelError(TempoError, ValueError):
    """A model in 8 bits of bitsandbytes, whose answers depend on what else is in the batch."""


class ServerError(TempoError, RuntimeError):
    """A server that a model is asked through gave no answer."""


class ServerUnreachableError(ServerError):
    """All attempts failed: no connection, no answer in time, errors, or malformed answers."""


class ServerRefusedError(ServerError):
    """The server refuses a request; the same one would be refused again."""


class ServersDifferError(TempoError, ValueError):
    """Several servers for one run that are not the same: another model, version or edit."""


class LogprobsError(TempoError, ValueError):
    """A server gives no log-probabilities, or not those of a letter."""


class BadRecordingsError(TempoError, ValueError):
    """Recordings of which no scene can be rendered: silent, clipped, too short, or told twice."""


class PlacementError(TempoError, ValueError):
    """Events that cannot be placed as asked for: too many, too long, or too few at once."""
