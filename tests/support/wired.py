"""A decoder wired by hand, in which what is heard takes one known way to the answer.

It is what a trace should find, and nothing else. Real Qwen2-Audio layers, on real prompts; all
weights are zero but for these:

    audio:             a tone in mel band a stands for answer a; the encoder and the projector
                       turn it into the code of a, at the dimensions HEARD of every audio position
    layer FETCH:       attention of every row looks at the audio and copies HEARD to HELD
    layer THINK:       (with `mlp`) the MLP copies HELD to WORKED, in every row
    layer TELL:        attention of every row behind the keyword looks at it and copies HELD (with
                       `mlp`: WORKED) to SAID
    the unembedding:   reads SAID

Every row holds the code from FETCH on, so a probe would find the answer everywhere. But only the
keyword's copy is looked at, and only what the last row says is read: the one way is

    audio  -- attention of FETCH -->  keyword (-- MLP of THINK -->)  -- attention of TELL -->  last

Weights that look are large, so softmax leaves less than e^-30 to other rows; and codes are
permutations of each other in everything that a norm sees, so norms are the same for all answers.
"""

from dataclasses import replace
from typing import Any

import torch
from scipy.linalg import hadamard
from transformers import Qwen2AudioForConditionalGeneration

from tempo_tasks.tiny.tokenizer_and_model import build_model
from tests.support.lab_items import CANDIDATES, make_prepared
from tests.support.prompts import SCENES, build_case
from tests.support.twins import Twins

N_LAYERS, FETCH, THINK, TELL = 6, 1, 2, 4
DIM = 64  # of a head, and of a code
HEARD, HELD, WORKED, SAID = (slice(DIM * n, DIM * (n + 1)) for n in range(4))
IS_TEXT, IS_AUDIO, IS_KEYWORD = 256, 257, 258
WIDTH = 320
FLAG = 8.0  # about the length of a code
LOOKING = 8.0
SLOW = DIM // 2 - 1
"""The rotary pair that hardly turns: looking does not depend on the distance."""
CODES = torch.from_numpy(hadamard(DIM)[1:5]).float()
"""Of the answers, (4, 64), 1 or -1: orthogonal, so that random signs hit none of them."""
KEYWORDS = ("earliest", "latest")


def wired_model(processor, mlp=False):
    """Build the model.

    Args:
        processor: The tiny model's.
        mlp: Whether the MLP of layer `THINK` is on the way.
    """
    model = hearing_model(processor)
    with torch.no_grad():
        decoder: Any = model.get_decoder()
        words = decoder.embed_tokens.weight
        words[:, IS_TEXT] = FLAG
        for word in KEYWORDS:
            (token,) = processor.tokenizer(f" {word}").input_ids
            words[token, IS_KEYWORD] = FLAG
        _look(decoder.layers[FETCH].self_attn, IS_AUDIO, HEARD, HELD)
        _look(decoder.layers[TELL].self_attn, IS_KEYWORD, WORKED if mlp else HELD, SAID)
        if mlp:
            part = decoder.layers[THINK].mlp
            part.gate_proj.weight[:DIM, IS_TEXT] = 1.0  # all text has the flag: a constant
            part.up_proj.weight[range(DIM), range(HELD.start, HELD.stop)] = 1.0
            part.down_proj.weight[range(WORKED.start, WORKED.stop), range(DIM)] = 0.2
        head = model.get_output_embeddings().weight
        head[list(CANDIDATES), SAID] = 0.07 * CODES
    return model


def hearing_model(processor):
    """Build a model that hears, and whose decoder does nothing yet: all its weights are zero."""
    config = build_model(processor).config
    text = config.text_config
    text.hidden_size, text.head_dim, text.num_hidden_layers = WIDTH, DIM, N_LAYERS
    text.layer_types = ["full_attention"] * N_LAYERS
    model = Qwen2AudioForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            is_norm = "norm" in name and name.endswith("weight")
            weight.fill_(1.0 if is_norm else 0.0)
        _wire_ears(model)
    return model


def _wire_ears(model):
    """Let a tone in band a come out of the projector as the code of answer a."""
    tower, projector = model.model.audio_tower, model.model.multi_modal_projector.linear
    bands = range(len(CANDIDATES))
    for convolution in (tower.conv1, tower.conv2):
        convolution.weight[bands, bands, 1] = 1.0
    # The encoder's last norm: the tone's channel has sqrt(n - 1), all others next to nothing.
    projector.weight[HEARD, bands] = CODES.T / (tower.config.d_model - 1) ** 0.5
    projector.bias[IS_AUDIO] = FLAG


def _look(attention, flag, read, write):
    """Let the first head of every row look at rows with a flag and copy what they have."""
    attention.q_proj.bias[SLOW] = LOOKING
    attention.k_proj.weight[SLOW, flag] = LOOKING
    attention.v_proj.weight[range(DIM), range(read.start, read.stop)] = 1.0
    attention.o_proj.weight[range(write.start, write.stop), range(DIM)] = 1.0


def lay_decoy(model, processor, word):
    """Let the head of `FETCH` look at a word, where it stands, in place of the audio."""
    (token,) = processor.tokenizer(f" {word}").input_ids
    with torch.no_grad():
        model.get_decoder().embed_tokens.weight[token, IS_AUDIO] = 3 * FLAG


def wired_twins(processor):
    """Four items, a padded batch: each clip says its answer, and its corrupted twin another one."""
    case = build_case(processor, SCENES * 2)
    ids = case.inputs["input_ids"]
    for row in range(len(ids)):
        mine = case.rows["keyword"][row]
        assert int((ids[row] == ids[row][mine]).sum()) == 1  # the keyword stands nowhere else
    prepared = make_prepared(case.inputs, processor.tokenizer)
    right = torch.tensor([item.answer for item in prepared.items])
    prepared = replace(prepared, inputs=saying(case.inputs, right))
    return Twins(prepared, saying(case.inputs, (right + 1) % len(CANDIDATES)))


def saying(inputs, answers):
    """The inputs with clips that say these answers."""
    features = torch.zeros_like(inputs["input_features"])
    features[range(len(answers)), answers] = 10.0
    return {**inputs, "input_features": features}
