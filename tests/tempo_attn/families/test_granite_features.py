"""Granite Speech's mel features: against the definition, written out here in other words.

By hand, on noise of 2.3 s, they were compared with torchaudio 2.11's `MelSpectrogram` too: equal
but for 6e-5 of a value.
"""

import numpy as np
import torch

from tempo_attn.families.granite_features import GraniteFeatures


def mel_by_definition(wave):
    """Frame by frame in float64: window, transform, power, triangles between HTK mels."""
    padded = np.pad(wave.astype(np.float64), 256, mode="reflect")
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)  # periodic
    edges = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 82)
    edges = 700 * (10 ** (edges / 2595) - 1)
    bins = np.linspace(0, 8000, 257)
    rows = []
    for start in range(0, len(wave) + 1, 160):
        power = np.abs(np.fft.rfft(padded[start : start + 512] * window)) ** 2
        rows.append(
            [
                sum(
                    power * np.clip(np.minimum((bins - a) / (b - a), (c - bins) / (c - b)), 0, None)
                )
                for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)
            ]
        )
    return np.array(rows).T


def test_the_spectrogram_is_the_definitions():
    wave = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    ours = GraniteFeatures().mel(torch.from_numpy(wave)[None])[0].numpy()
    np.testing.assert_allclose(ours, mel_by_definition(wave), rtol=1e-3, atol=1e-6)


def test_features_are_log_mels_in_pairs():
    wave = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    found = GraniteFeatures()([wave])
    log_mel = np.log10(np.maximum(mel_by_definition(wave), 1e-10)).T
    log_mel = np.maximum(log_mel, log_mel.max() - 8) / 4 + 1
    expected = log_mel[:50].reshape(25, 160)  # 51 frames: the odd one is left out
    np.testing.assert_allclose(found["input_features"][0].numpy(), expected, atol=1e-4)
    assert found["audio_embed_sizes"] == [6]  # 25 pairs are two windows of 15, three each
    assert found["input_features_mask"].tolist() == [[True] * 6]


def test_a_quieter_clip_is_not_changed_by_a_louder_one_in_its_batch():
    rng = np.random.default_rng(0)
    quiet, loud = (scale * rng.standard_normal(8000).astype(np.float32) for scale in (0.001, 1.0))
    together = GraniteFeatures()([quiet, loud])["input_features"][0]
    assert torch.equal(together, GraniteFeatures()([quiet])["input_features"][0])


def test_settings_come_from_released_files_and_from_saved_ones(tmp_path):
    released = {
        "melspec_kwargs": {
            "hop_length": 160,
            "n_fft": 512,
            "n_mels": 40,
            "sample_rate": 16000,
            "win_length": 400,
        },
        "projector_window_size": 30,
    }
    features = GraniteFeatures.from_dict(released)
    features.save_pretrained(tmp_path)
    again = GraniteFeatures.from_pretrained(tmp_path)
    assert again.melspec_kwargs == released["melspec_kwargs"]
    assert again.projector_window_size == 30
    assert again.feature_size == 40
