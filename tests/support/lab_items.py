"""Items made by hand, and what independent full forwards of the wrapper answer on them."""

from dataclasses import dataclass
from typing import Any

import torch

from tempo_attn import apply_attn_scale
from tempo_attn.lab.items import Item

CANDIDATES = (20, 21, 22, 23)


@dataclass
class Prepared:
    """Items with the inputs of all of them as one batch."""

    items: list[Item]
    inputs: dict[str, Any]
    tokenizer: Any

    def __call__(self, items):
        """Inputs of some items, as `tempo_attn.lab.items.Prepare`."""
        rows = [item.index for item in items]
        batch = len(self.items)
        return {
            name: value[rows] if isinstance(value, torch.Tensor) and len(value) == batch else value
            for name, value in self.inputs.items()
        }


def make_prepared(inputs, tokenizer=None, n_items=None):
    n_items = n_items or len(inputs["input_ids"])
    items = [
        Item(
            key=f"{7919 * (index + 1):064x}",
            index=index,
            id=f"item {index}",
            cluster=f"clip {index}",
            kind="eo",
            condition="aqa",
            candidates=CANDIDATES,
            answer=index % 4,
            length=1,
        )
        for index in range(n_items)
    ]
    return Prepared(items, inputs, tokenizer)


def wrapped_logits(model, run, inputs, variants, tokenizer=None, audio=None):
    """Candidate logits (items, variants, candidates) by one full forward of the wrapper each."""
    logits = []
    for variant in variants:
        wrapped = apply_attn_scale(
            model,
            variant.config(),
            tokenizer=tokenizer,
            recompute_identity=True,
            on_missing="warn",
        )
        try:
            with torch.no_grad(), wrapped.positions(audio_mask=audio):
                logits.append(run(**inputs).logits[:, -1, list(CANDIDATES)].float())
        finally:
            wrapped.unload()
    return torch.stack(logits, 1)


def answer(sweeper, prepared):
    return sweeper.answer(sweeper.subject.read(prepared.items))
