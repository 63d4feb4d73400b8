"""From the last hidden states to the logits of the candidate answers, and of no other token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families import Family


class Readout:
    """The final norm and the rows of the unembedding that belong to candidates.

    In float32 from the norm on: candidates that tie in a model's 16-bit logits may differ here. An
    unembedding that is more than a linear layer is called as a whole.

    Raises:
        UnsupportedModelError: The model has no final norm or no unembedding where expected.
    """

    def __init__(self, model: nn.Module, family: Family) -> None:
        decoder = family.decoder(model)
        norm = getattr(decoder, "norm", None)
        head = _unembedding(model, decoder)
        if not isinstance(norm, nn.Module) or head is None:
            raise UnsupportedModelError(
                f"{type(decoder).__name__} has no `norm`, or {type(model).__name__} no linear "
                "unembedding, so logits cannot be read from hidden states"
            )
        config: Any = decoder.config
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        self._norm, self._head = norm, head
        # Of the module that has the head: Granite's language model divides by it, Granite Speech,
        # whose text configuration has the number too, does not.
        scaling = getattr(getattr(_owner(model, head), "config", None), "logits_scaling", None)
        self._scale = 1.0 / float(scaling or 1.0)
        self._softcap = getattr(text, "final_logit_softcapping", None)

    def __call__(self, hidden: Tensor, candidates: Tensor) -> Tensor:
        """Return the candidates' logits.

        Args:
            hidden: (items, variants, width): what leaves the last layer.
            candidates: (items, candidates) token ids.

        Returns:
            (items, variants, candidates), float32.
        """
        normed = self._norm(hidden)
        weight: Any = self._head.weight
        candidates = candidates.to(weight.device)
        if type(self._head) is nn.Linear and not self._head._forward_hooks:
            chosen = weight[candidates].to(torch.float32)
            logits: Tensor = normed.to(weight.device, torch.float32) @ chosen.transpose(-1, -2)
            if self._head.bias is not None:
                logits = logits + self._head.bias[candidates].to(torch.float32)[:, None]
        else:  # an adapter, a quantised layer: only the module itself knows what it does
            every = self._head(normed).float()
            index = candidates[:, None].expand(-1, every.shape[1], -1)
            logits = every.gather(-1, index.to(every.device))
        logits = logits * self._scale
        if self._softcap is not None:
            logits = self._softcap * torch.tanh(logits / self._softcap)
        return logits


def _owner(model: nn.Module, head: nn.Module) -> nn.Module | None:
    """Return the module that holds the head as its own part."""
    return next((m for m in model.modules() if any(child is head for child in m.children())), None)


def _unembedding(model: nn.Module, decoder: nn.Module) -> nn.Module | None:
    """Return the linear layer from hidden states to the vocabulary."""
    width = decoder.config.get_text_config().hidden_size  # type: ignore[union-attr, operator]
    candidates = []
    get = getattr(model, "get_output_embeddings", None)
    if callable(get):
        candidates.append(get())
    candidates += [m for name, m in model.named_modules() if name.split(".")[-1] == "lm_head"]
    fitting = [
        head
        for head in candidates
        if isinstance(getattr(head, "weight", None), Tensor) and head.weight.shape[-1] == width
    ]
    return fitting[0] if fitting else None
