"""A strength for each prompt, chosen by the model's confidence in a plain run (AdaptVis).

The confidence is the probability of the first token after the prompt, without the edit.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tempo_attn.adaptive import Adaptive
from tempo_attn.prompts.positions import last_real
from tempo_attn.runtime.forward_call import shape_of
from tempo_attn.runtime.key_value_cache import CACHE_NAMES, cache_in, cache_name, cached_positions

# A plain run leaves the caller's cache alone and gives the logits of all positions.
_NOT_IN_A_PLAIN_RUN = (*CACHE_NAMES, "labels", "logits_to_keep", "return_dict")


def chosen_strengths(rule: Adaptive, logits: Tensor) -> Tensor:
    """Return each batch row's strength, (batch,), on the CPU.

    Args:
        rule: The two strengths, and the confidence that separates them.
        logits: (batch, vocabulary) of a run without the edit, after the prompts.
    """
    confidence = logits.float().softmax(-1).amax(-1)
    low = torch.full_like(confidence, rule.low)
    return torch.where(confidence < rule.threshold, low, rule.high).cpu()


def is_decoding_step(inputs: Mapping[str, Any]) -> bool:
    """Return whether a call goes on with one token after cached ones: its strength is chosen."""
    shape = shape_of(inputs)
    return shape is not None and shape[1] == 1 and cached_positions(cache_in(inputs)) > 0


def plain_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a plain run of a forward call."""
    plain = {k: v for k, v in inputs.items() if k not in _NOT_IN_A_PLAIN_RUN}
    return plain | _copied_cache(inputs)


def one_plain_step(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of `generate` for one greedy step that leaves the caller's objects alone."""
    left_out = ("streamer", "stopping_criteria", *CACHE_NAMES)
    return {
        **{k: v for k, v in kwargs.items() if k not in left_out},
        **_copied_cache(kwargs),
        "max_new_tokens": 1,
        "min_new_tokens": None,
        "do_sample": False,
        "num_beams": 1,
        "num_return_sequences": 1,
        "return_dict_in_generate": True,
        "output_logits": True,
    }


def _copied_cache(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a call's cache under its own name; nothing where it holds no positions."""
    name = cache_name(inputs)
    if name is None or not cached_positions(inputs[name]):
        return {}
    return {name: copy.deepcopy(inputs[name])}


def last_of_prompts(attention_mask: Any, logits: Tensor, prompt_length: int | None) -> Tensor:
    """Return the (batch, vocabulary) logits after each prompt.

    Args:
        attention_mask: (batch, cached and new positions), or anything else where there is no
            padding on the right.
        logits: (batch, positions, vocabulary) of the new positions.
        prompt_length: Where the prompts end in the call, or None for its end.
    """
    n_batch, n_new = logits.shape[:2]
    end = n_new if prompt_length is None else prompt_length
    if not isinstance(attention_mask, Tensor) or attention_mask.dim() != 2:
        return logits[:, end - 1]
    last = last_real(attention_mask[:, -n_new:][:, :end].bool()).to(logits.device)
    return logits[torch.arange(n_batch, device=logits.device), last]
