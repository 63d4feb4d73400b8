"""A decoder wired by hand in which one head hears when the event that an option names sounds.

Real Qwen2-Audio layers, on real prompts; all weights are zero but for these:

    audio:          a tone in mel band e stands for event e; the encoder and the projector turn it
                    into the code of e at every audio position in its time
    words:          the name of event e has the code of e, too
    LAYER, HEAD:    a row with the code of e looks at the audio positions with that code
    LAYER, BIASED:  every row looks at the audio's end, whatever sounds

What other heads see is the same whatever sounds. So the rows of an option's name look at its
event, in one head, and nowhere else does anything depend on what is heard.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tempo_attn.lab.listen.run import Truth
from tests.support.lab_items import make_prepared
from tests.support.prompts import build_case
from tests.support.twins import Twins
from tests.support.wired import CODES, DIM, FLAG, HEARD, IS_AUDIO, hearing_model

LAYER, HEAD, BIASED = 2, 0, 2
EVENTS = ("Siren", "Bell", "Rain", "Horn")
SECONDS = 4.0
RATE = 12.5
"""Audio positions a second: four mel frames of 20 ms each."""
_LOOKING = 20.0
_SLOW = range(DIM // 2 - 4, DIM // 2)
"""The rotary pairs that hardly turn: looking does not depend on the distance."""
_FAST = DIM // 4
_AUDIO = _SLOW.start - 1
"""By this pair the head that hears looks at audio alone: names have the codes themselves."""


def listening_model(processor):
    """Build the model."""
    model = hearing_model(processor)
    text = model.config.text_config
    with torch.no_grad():
        decoder: Any = model.get_decoder()
        for event, code in zip(EVENTS, CODES, strict=True):
            for token in processor.tokenizer(f" {event}").input_ids:
                decoder.embed_tokens.weight[token, HEARD] = code
        attention = decoder.layers[LAYER].self_attn
        for pair, code in zip(_SLOW, CODES, strict=True):
            attention.q_proj.weight[HEAD * DIM + pair, HEARD] = _LOOKING * code / DIM
            attention.k_proj.weight[pair, HEARD] = _LOOKING * code / DIM
        attention.q_proj.bias[HEAD * DIM + _AUDIO] = 2 * _LOOKING
        attention.k_proj.weight[_AUDIO, IS_AUDIO] = 2 * _LOOKING / FLAG
        groups = text.num_attention_heads // text.num_key_value_heads
        attention.q_proj.bias[BIASED * DIM + _FAST] = _LOOKING
        attention.k_proj.bias[BIASED // groups * DIM + _FAST] = _LOOKING
        attention.k_proj.weight[BIASED // groups * DIM + _FAST, IS_AUDIO] = 1 / FLAG
    return model


def listening_items(processor, n_items=16, seed=0):
    """Clips in which all four events sound one after another, and what is true of them.

    Returns:
        What prepares the items and their silent twins, and the truths by item key.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(4).tolist() for _ in range(n_items)]
    scenes = [
        ("Which event has the earliest onset?", [EVENTS[event] for event in order], SECONDS)
        for order in orders
    ]
    case = build_case(processor, scenes)
    prepared = make_prepared(case.inputs, processor.tokenizer)
    features = torch.zeros_like(case.inputs["input_features"])
    truths = {}
    for number, item in enumerate(prepared.items):
        events = [()] * 4
        for place, event in enumerate(rng.permutation(4).tolist()):
            start = 12 * place + int(rng.integers(0, 4))  # in positions
            end = start + int(rng.integers(3, 9))
            features[number, event, 4 * start : 4 * end] = 10.0
            events[orders[number].index(event)] = ((start / RATE, end / RATE),)
        truths[item.key] = Truth(RATE, SECONDS, events)
    heard = replace(prepared, inputs={**case.inputs, "input_features": features})
    silent = {**case.inputs, "input_features": torch.zeros_like(features)}
    return Twins(heard, silent), truths
