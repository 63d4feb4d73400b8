"""The speech tokenizer against its definition, written down step by step."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.kimi.speech_tokens import (
    SpeechTokenizer,
    load_speech_tokenizer,
    speech_tokenizer_of,
)
from tests.support.stand_in_kimi import SPEECH, save_speech_tokenizer
from tests.support.tiny_models import MELS, WHISPER


def built(**changes):
    more = {**SPEECH, "quantize_causal_block_size": 8, **changes}
    config = WhisperConfig(**{**WHISPER, "max_source_positions": 64}, **more)
    torch.manual_seed(0)
    model = SpeechTokenizer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model


def features(n_frames, real=None, n_windows=1):
    generator = torch.Generator().manual_seed(1)
    mask = (torch.arange(n_frames) < (n_frames if real is None else real)).long()
    values = torch.randn(n_windows, MELS, n_frames, generator=generator)
    return values, mask.expand(n_windows, -1)


@torch.no_grad()
def by_hand(model, values, mask):
    """One window, loops for matrices: float64, one query at a time."""
    model = model.double()
    gelu, block = torch.nn.functional.gelu, model.config.quantize_causal_block_size

    def causal(conv, hidden, stride):
        padded = torch.cat([hidden.new_zeros(len(hidden), 2), hidden], 1)
        steps = range(0, padded.shape[1] - 2, stride)
        parts = [(conv.weight * padded[None, :, at : at + 3]).sum((1, 2)) for at in steps]
        return gelu(torch.stack(parts, 1) + conv.bias[:, None])

    hidden = causal(model.conv2, causal(model.conv1, values[0].double(), 1), 2).T
    hidden = hidden + model.embed_positions.weight[: len(hidden)]
    real = mask[0, ::2].bool()
    for layer in model.layers:
        attention, normed = layer.self_attn, layer.self_attn_layer_norm(hidden)
        query, key, value = (
            projection(normed).view(len(hidden), attention.num_heads, -1)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        out = torch.zeros_like(query)
        for at in range(len(hidden)):
            end = (at // block + 1) * block if block else len(hidden)
            seen = [k for k in range(min(end, len(hidden))) if real[k]]
            for head in range(attention.num_heads):
                logits = key[seen, head] @ query[at, head] * query.shape[-1] ** -0.5
                out[at, head] = logits.softmax(0) @ value[seen, head]
        hidden = hidden + attention.out_proj(out.flatten(1))
        hidden = hidden + layer.fc2(gelu(layer.fc1(layer.final_layer_norm(hidden))))
    pooled = hidden.view(-1, 4, hidden.shape[-1]).mean(1)
    nearest = torch.cdist(pooled, model.codebook.weight).argmin(1)
    model.float()
    return nearest[mask[0, ::8].bool()]


@pytest.mark.parametrize("block", [8, None])
@pytest.mark.parametrize("real", [64, 43])
def test_tokens_are_the_definition(block, real):
    model = built(quantize_causal_block_size=block)
    given = features(64, real)
    found = model(*given)
    assert found.tolist() == by_hand(model, *given).tolist()
    assert len(found) == -(-real // 8)
    assert len(set(found.tolist())) > 2


def test_a_token_hears_its_own_block_and_those_before():
    model = built()
    values, mask = features(64)
    before = model(values, mask)
    values[:, :, 48:] = 0  # frames of the last of four blocks, of eight times two
    changed = model(values, mask) != before
    assert not changed[:6].any()
    assert changed[6:].any()


def test_windows_follow_each_other():
    model = built()
    values, mask = features(64, n_windows=2)
    mask = mask.clone()
    mask[1, 20:] = 0
    found = model(values, mask)
    assert len(found) == 8 + 3
    assert found[:8].tolist() == model(values[:1], mask[:1]).tolist()
    assert found[8:].tolist() == model(values[1:], mask[1:]).tolist()


def test_other_settings_of_the_class_are_followed():
    """Whole causal attention; convolutions that look ahead; the largest of a pool."""
    given = features(64)
    found = {
        str(changes): built(**changes)(*given).tolist()
        for changes in (
            {},
            {"encoder_causal_attention": True},
            {"quantize_causal_encoder": True},
            {"encoder_causal_convolution": False},
            {"pooling_type": "max"},
        )
    }
    tokens = list(found.values())
    assert tokens[1] == tokens[2]
    assert len({tuple(row) for row in tokens}) == 4


@pytest.mark.parametrize("prefix", ["", "model.encoder.", "encoder."])
def test_weights_are_read_under_either_name(tmp_path, prefix):
    save_speech_tokenizer(tmp_path)
    model = load_speech_tokenizer(str(tmp_path))
    file = tmp_path / "model.safetensors"
    weights = {prefix + name: weight for name, weight in load_file(file).items()}
    weights[prefix + "ema_count"] = torch.ones(3)  # of training, and not read
    weights[prefix + "layers.1.fc1.weight"] = torch.ones(3)  # behind the codebook
    save_file(weights, file)
    again = load_speech_tokenizer(str(tmp_path))
    values, mask = features(64)
    assert torch.equal(again(values, mask), model(values, mask))
    assert not again.training


def test_missing_weights_are_told(tmp_path):
    save_speech_tokenizer(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    del weights["codebook.weight"]
    save_file(weights, file)
    with pytest.raises(UnsupportedModelError, match=r"no weights codebook\.weight \(1 of"):
        load_speech_tokenizer(str(tmp_path))


def test_a_whisper_without_a_codebook_is_told(tmp_path):
    save_speech_tokenizer(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    del config["quantize_vocab_size"]
    file.write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="is no speech tokenizer"):
        load_speech_tokenizer(str(tmp_path))


def test_a_folder_in_the_checkpoint_goes_before_the_authors_repository(tmp_path):
    assert speech_tokenizer_of(str(tmp_path)) == "THUDM/glm-4-voice-tokenizer"
    inside = tmp_path / "glm-4-voice-tokenizer"
    inside.mkdir()
    assert speech_tokenizer_of(str(tmp_path)) == str(inside)
