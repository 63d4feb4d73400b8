"""How many positions a waveform fills: lengths after the audio encoders that families share."""

from __future__ import annotations

from typing import Any


def windowed_frames(processor: Any, n_samples: int) -> int:
    """Return the mel frames of a waveform that is cut into windows.

    Audio beyond the processor's longest is not counted.
    """
    extractor = processor.feature_extractor
    window = int(extractor.sampling_rate * extractor.chunk_length)
    longest = int(processor.max_audio_len // extractor.chunk_length) * window
    full, rest = divmod(min(n_samples, longest), window)
    hop = int(extractor.hop_length)
    return full * -(-window // hop) + -(-rest // hop)


def encoder_tokens(mel_frames: int) -> int:
    """Return the positions after a Whisper encoder: a strided convolution, then pooling of two."""
    return ((mel_frames - 1) // 2 + 1 - 2) // 2 + 1


def qwen3_encoder_tokens(mel_frames: int) -> int:
    """Return the positions after Qwen3's audio encoder.

    Three strided convolutions, on chunks of 100 frames.
    """
    chunks, rest = divmod(mel_frames, 100)
    return 13 * chunks + -(-rest // 8)
