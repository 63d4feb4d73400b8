"""Fun-ASR-Nano's feature extractor without torchaudio, which transformers' own needs.

The features are those of `torchaudio.compliance.kaldi.fbank` with its defaults: frames of whole
samples without their mean, pre-emphasis 0.97, a symmetric window, power, triangles on Kaldi's mel
scale from 20 Hz, natural logarithm. Transformers computes them so for other models.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function
from transformers.models.fun_asr_nano.feature_extraction_fun_asr_nano import (
    FunAsrNanoFeatureExtractor as _WithTorchaudio,
)

_FLOOR = 1.192092955078125e-07


class FunAsrNanoFeatureExtractor(_WithTorchaudio):
    """Transformers' class of this name, with the step exchanged that torchaudio does."""

    def _extract_fbank_features(self, waveform: Tensor) -> Tensor:
        length, hop = (
            self.sampling_rate * milliseconds // 1000
            for milliseconds in (self.frame_length, self.frame_shift)
        )
        size = 1 << (length - 1).bit_length()  # the next power of two, as Kaldi rounds
        filters = mel_filter_bank(
            num_frequency_bins=size // 2 + 1,
            num_mel_filters=self.feature_size,
            min_frequency=20,
            max_frequency=self.sampling_rate // 2,
            sampling_rate=self.sampling_rate,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        features = spectrogram(
            waveform.numpy(),
            window_function(length, self.window, periodic=False),
            frame_length=length,
            hop_length=hop,
            fft_length=size,
            power=2.0,
            center=False,
            preemphasis=0.97,
            mel_filters=filters,
            log_mel="log",
            mel_floor=_FLOOR,
            remove_dc_offset=True,
        )
        return torch.from_numpy(np.ascontiguousarray(features.T, dtype=np.float32))
