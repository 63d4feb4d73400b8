"""Fun-ASR-Nano's features without torchaudio: against Kaldi's definition, and torchaudio's values.

By hand they were compared with transformers' extractor and torchaudio 2.11 too, on noise of three
lengths: logarithms differed by at most 5e-4, where almost nothing sounds.
"""

import numpy as np
import pytest
import torch
import transformers

from tests.support.tiny_models import TOO_NEW

pytestmark = pytest.mark.skipif("fun_asr_nano" in TOO_NEW, reason="this transformers is older")


def extractor(**settings):
    from tempo_attn.families.fun_asr_features import FunAsrNanoFeatureExtractor

    return FunAsrNanoFeatureExtractor(**settings)


def by_definition(wave, bands):
    """Log power in mel bands, (frames, bands), frame by frame in float64."""
    frames = [wave[start : start + 400] for start in range(0, len(wave) - 399, 160)]
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399)
    mels = 1127 * np.log(1 + np.arange(257) * 16000 / 512 / 700)
    low, high = (1127 * np.log(1 + hertz / 700) for hertz in (20, 8000))
    corners = np.linspace(low, high, bands + 2)
    triangles = np.array(
        [
            np.clip(np.minimum((mels - a) / (b - a), (c - mels) / (c - b)), 0, None)
            for a, b, c in zip(corners, corners[1:], corners[2:], strict=False)
        ]
    )
    rows = []
    for frame in frames:
        centred = frame.astype(np.float64) - frame.astype(np.float64).mean()
        sharp = centred - 0.97 * np.concatenate([centred[:1], centred[:-1]])
        power = np.abs(np.fft.rfft(sharp * window, 512)) ** 2
        rows.append(np.log(np.maximum(triangles @ power, np.finfo(np.float32).eps)))
    return np.array(rows)


def noise(length):
    return (0.1 * np.random.default_rng(0).standard_normal(length) + 0.05).astype(np.float32)


@pytest.mark.parametrize("bands", [80, 16])
def test_features_are_kaldis_definition(bands):
    wave = noise(9137)
    found = extractor(feature_size=bands)._extract_fbank_features(torch.from_numpy(wave))
    np.testing.assert_allclose(found.numpy(), by_definition(wave, bands), atol=2e-3)


def test_features_are_torchaudios():
    """Written down from transformers' extractor with torchaudio 2.11, for a tone of 440 Hz."""
    wave = (0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) + 0.1).astype(np.float32)
    found = extractor()._extract_fbank_features(torch.from_numpy(wave))
    assert found.shape == (98, 80)
    wanted = [-8.9022, -8.5562, 0.3718, -5.5162, -8.5908]
    assert found[50, [0, 5, 12, 20, 79]].tolist() == pytest.approx(wanted, abs=5e-3)


def test_features_are_transformers_where_torchaudio_is_installed():
    pytest.importorskip("torchaudio")
    for length in (1600, 9000, 48037):
        theirs = transformers.FunAsrNanoFeatureExtractor()([noise(length)], 16000)
        ours = extractor()([noise(length)], 16000)
        assert torch.equal(theirs["input_features_mask"], ours["input_features_mask"])
        for one, other in zip(theirs["input_features"], ours["input_features"], strict=True):
            torch.testing.assert_close(one, other, atol=2e-3, rtol=0)
