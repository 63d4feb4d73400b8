"""Audio as lazy handles: small dictionaries that are decoded only when a batch needs them.

`handles` makes them, `reading` turns them into waveforms and checks all clips before inference,
`decode` calls libsndfile. `wav`, `flac`, `ogg` and `mp3` read what a file says of its own length:
libsndfile takes what is there of a damaged file without a word, so the two are compared.
"""

from tempo_tasks.audio.handles import (
    DocumentAudio,
    Handle,
    content_of,
    document_audio,
    document_handle,
    file_handle,
    is_reversed,
    is_silenced,
    make_handle,
    reversed_handle,
    silenced_handle,
)
from tempo_tasks.audio.reading import Wave, as_heard, check_audio, read_audio
from tempo_tasks.audio.refusals import DEFAULT_LIMITS, MAX_CHANNELS, MAX_RATE, AudioLimits

__all__ = [
    "DEFAULT_LIMITS",
    "MAX_CHANNELS",
    "MAX_RATE",
    "AudioLimits",
    "DocumentAudio",
    "Handle",
    "Wave",
    "as_heard",
    "check_audio",
    "content_of",
    "document_audio",
    "document_handle",
    "file_handle",
    "is_reversed",
    "is_silenced",
    "make_handle",
    "read_audio",
    "reversed_handle",
    "silenced_handle",
]
