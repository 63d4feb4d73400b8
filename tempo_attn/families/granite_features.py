"""Granite Speech's mel features without torchaudio, which transformers' extractor computes them by.

The spectrogram is the same: power of a short-time Fourier transform with a periodic Hann window,
centred and reflected at the ends; triangular filters on the HTK mel scale, not normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import BatchFeature, GraniteSpeechFeatureExtractor
from transformers.audio_utils import mel_filter_bank
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor


class GraniteFeatures(GraniteSpeechFeatureExtractor):
    """Transformers' extractor with the one step exchanged that torchaudio did."""

    def __init__(
        self,
        sampling_rate: int = 16000,
        n_fft: int = 512,
        win_length: int = 400,
        hop_length: int = 160,
        n_mels: int = 80,
        projector_window_size: int = 15,
        projector_downsample_rate: int = 5,
        melspec_kwargs: dict[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.melspec_kwargs = melspec_kwargs or {  # the name that files have for all of them
            "sample_rate": sampling_rate,
            "n_fft": n_fft,
            "win_length": win_length,
            "hop_length": hop_length,
            "n_mels": n_mels,
        }
        # Not the parent's own: it needs torchaudio.
        SequenceFeatureExtractor.__init__(
            self,
            feature_size=self.melspec_kwargs["n_mels"],
            sampling_rate=sampling_rate,
            padding_value=0.0,
        )
        self.projector_window_size = projector_window_size
        self.projector_downsample_rate = projector_downsample_rate

    def mel(self, audio: torch.Tensor) -> torch.Tensor:
        """Return the mel power spectrogram, (batch, mel bands, frames), of (batch, samples)."""
        given = self.melspec_kwargs
        spectrum = torch.stft(
            audio.float(),
            given["n_fft"],
            given["hop_length"],
            given["win_length"],
            window=torch.hann_window(given["win_length"]),
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        filters = mel_filter_bank(
            num_frequency_bins=given["n_fft"] // 2 + 1,
            num_mel_filters=given["n_mels"],
            min_frequency=0.0,
            max_frequency=given["sample_rate"] / 2,
            sampling_rate=given["sample_rate"],
            norm=None,
            mel_scale="htk",
        )
        power = spectrum.abs().square().transpose(-1, -2)
        return (power @ torch.from_numpy(filters).float()).transpose(-1, -2)

    def __call__(self, audios: Any, device: str | None = "cpu", **kwargs: Any) -> BatchFeature:
        """Return features (batch, frames, 2 x bands), two mel frames in one, and positions."""
        audio, lengths = self._get_audios_and_audio_lengths(audios)
        log_mel = self.mel(audio).transpose(-1, -2).clip(min=1e-10).log10()
        # The loudest value is the clip's own: padding is silent, and counted in none.
        loudest = log_mel.amax(dim=(-2, -1), keepdim=True)
        log_mel = torch.maximum(log_mel, loudest - 8.0) / 4 + 1
        log_mel = log_mel[:, : log_mel.shape[1] // 2 * 2]
        sizes: Sequence[int] = self._get_num_audio_features(lengths)
        return BatchFeature(
            {
                "input_features": log_mel.reshape(len(log_mel), -1, 2 * log_mel.shape[-1]),
                "audio_embed_sizes": sizes,
                "input_features_mask": torch.arange(max(sizes)) < torch.tensor(sizes)[:, None],
            }
        )
