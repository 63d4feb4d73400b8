"""Granite Speech's feature extractor without torchaudio, which transformers' own needs.

The spectrogram is torchaudio's `MelSpectrogram` with its defaults: a periodic Hann window in the
middle of the transform, frames centred on their samples by reflection, power, and triangles on the
HTK mel scale that are not normalised.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature
from transformers.audio_utils import mel_filter_bank
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor
from transformers.models.granite_speech.feature_extraction_granite_speech import (
    GraniteSpeechFeatureExtractor as _WithTorchaudio,
)


class GraniteSpeechFeatureExtractor(_WithTorchaudio):
    """Features of waveforms, as transformers' class of this name gives them.

    Args:
        sampling_rate: Of the waveforms, in Hz.
        n_fft: Samples of one transform.
        win_length: Samples of its window.
        hop_length: Samples from one frame to the next.
        n_mels: Mel bands; `feature_size` goes before it.
        projector_window_size: Encoder frames of one window of the projector.
        projector_downsample_rate: How many of them become one position.
        padding_value: See transformers.
        kwargs: See transformers.
    """

    def __init__(
        self,
        sampling_rate: int = 16000,
        n_fft: int = 512,
        win_length: int = 400,
        hop_length: int = 160,
        n_mels: int = 80,
        projector_window_size: int = 15,
        projector_downsample_rate: int = 5,
        padding_value: float = 0.0,
        **kwargs: Any,
    ) -> None:
        size = kwargs.pop("feature_size", None)
        n_mels = n_mels if size is None else size
        # Not super(): that is what asks for torchaudio.
        SequenceFeatureExtractor.__init__(self, n_mels, sampling_rate, padding_value, **kwargs)
        self.melspec_kwargs = {
            "sample_rate": sampling_rate,
            "n_fft": n_fft,
            "win_length": win_length,
            "hop_length": hop_length,
            "n_mels": n_mels,
        }
        self.projector_window_size = projector_window_size
        self.projector_downsample_rate = projector_downsample_rate
        # The name of what transformers leaves out of a saved extractor.
        self.mel_filters = mel_filter_bank(
            num_frequency_bins=n_fft // 2 + 1,
            num_mel_filters=n_mels,
            min_frequency=0.0,
            max_frequency=float(sampling_rate // 2),
            sampling_rate=sampling_rate,
            norm=None,
            mel_scale="htk",
        )

    def spectrogram(self, waves: Tensor) -> Tensor:
        """Return the power in each mel band, (waves, bands, frames), of (waves, samples)."""
        settings = self.melspec_kwargs
        transformed = torch.stft(
            waves.float(),
            n_fft=settings["n_fft"],
            hop_length=settings["hop_length"],
            win_length=settings["win_length"],
            window=torch.hann_window(settings["win_length"], device=waves.device),
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        filters = torch.from_numpy(self.mel_filters).to(waves.device, torch.float32)
        return (transformed.abs().square().transpose(-1, -2) @ filters).transpose(-1, -2)

    def __call__(self, audios: Any, device: str | None = "cpu") -> Any:
        """Return features, numbers of positions and their mask; see transformers."""
        waves, lengths = self._get_audios_and_audio_lengths(audios)
        sizes = self._get_num_audio_features(lengths)
        mask = torch.arange(max(sizes))[None] < torch.tensor(sizes)[:, None]
        return BatchFeature(
            {
                "input_features": self._extract_mel_spectrograms(waves, device),
                "audio_embed_sizes": sizes,
                "input_features_mask": mask,
            }
        )

    def _extract_mel_spectrograms(self, audio: Tensor, device: str | None = "cpu") -> Tensor:
        audio = audio if device is None else audio.to(device)
        logarithm = self.spectrogram(audio).transpose(-1, -2).clip(min=1e-10).log10()
        loudest = logarithm.amax(dim=(-2, -1), keepdim=True)
        scaled = torch.maximum(logarithm, loudest - 8.0) / 4 + 1
        scaled = scaled[:, : scaled.shape[1] // 2 * 2]
        # Two frames side by side are one frame of the encoder.
        return scaled.reshape(len(scaled), -1, 2 * scaled.shape[-1])
