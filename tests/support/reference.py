"""An independent reference: eager attention over the full matrix, edited entry by entry.

It replaces `eager_attention_forward` in a model's own file and shares nothing with tempo_attn. The
mass-preserving and the matched mode are written from their definitions on probabilities.
"""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch


@dataclass
class FullMatrix:
    """What is edited: `rows` and `keys` are (batch, positions) bool by absolute position."""

    mode: str
    strength: object  # a number, or one for each batch row
    layers: list
    rows: torch.Tensor
    keys: torch.Tensor
    heads: dict | None = None
    decode_rows: bool = False  # rows behind `rows` are edited too
    first: int = 0
    length: int = 0
    calls: list = field(default_factory=list)

    def __call__(self, module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        logits = torch.einsum("bhqd,bhkd->bhqk", query.float(), key.float()) * scaling
        if kwargs.get("softcap") is not None:
            logits = torch.tanh(logits / kwargs["softcap"]) * kwargs["softcap"]
        mask = torch.zeros_like(logits[:, :1]) if attention_mask is None else attention_mask
        visible = (mask > -1e4).expand(-1, logits.shape[1], -1, -1)
        bias = mask.expand_as(visible)
        probs = (logits + mask).softmax(-1)
        if module.layer_idx in self.layers:
            self.calls.append(module.layer_idx)
            for b, h, q in self._chosen(module.layer_idx, logits):
                # A sliding cache has dropped the first keys.
                gone = max(0, self.first + self.length - logits.shape[-1])
                row = logits[b, h, q], visible[b, h, q], bias[b, h, q]
                probs[b, h, q] = self._row(b, *row, gone)
        out = torch.einsum("bhqk,bhkd->bqhd", probs.to(value.dtype), value)
        return out.contiguous(), probs

    def _chosen(self, layer, logits):
        n_batch, n_heads, n_queries, _ = logits.shape
        heads = range(n_heads) if not self.heads or layer not in self.heads else self.heads[layer]
        for b in range(n_batch):
            for q in range(n_queries):
                at = self.first + self.length - n_queries + q  # some layers run the last ones only
                known = at < self.rows.shape[1]
                if self.rows[b, at] if known else self.decode_rows:
                    for h in heads:
                        yield b, h, q

    def _row(self, b, logits, visible, bias, gone):
        n_keys = len(logits)
        audio = torch.zeros(n_keys, dtype=torch.bool)
        kept = self.keys[b, gone : gone + n_keys]
        audio[: len(kept)] = kept
        audio &= visible
        strength = self.strength[b] if hasattr(self.strength, "__len__") else self.strength

        def softmax(edited, among=visible):
            return (edited + bias).masked_fill(~among, -torch.inf).softmax(-1)

        plain = softmax(logits)
        if not audio.any():
            return plain
        if self.mode == "scale_preserving":
            inside = softmax(strength * logits, audio)
            return torch.where(audio, plain[audio].sum() * inside, plain)
        if self.mode == "upweight_matched":
            scaled = torch.where(audio, strength * logits, logits)
            mass = softmax(scaled)[audio].sum()
            before = plain[audio].sum()
            return torch.where(audio, plain / before * mass, plain / (1 - before) * (1 - mass))
        changed = {
            "scale": lambda: logits * strength,
            "upweight": lambda: logits + strength,
            "upweight_relative": lambda: logits + strength * logits.abs(),
            "knockout": lambda: torch.full_like(logits, -torch.inf),
        }[self.mode]()
        return softmax(torch.where(audio, changed, logits))


@contextmanager
def full_matrix(model, decoder, reference):
    """Run `model` by the reference inside the context: eager attention, every entry by hand."""
    attention = type(decoder.layers[0].self_attn)
    file = sys.modules[attention.__module__]
    eager, before = file.eager_attention_forward, decoder.config._attn_implementation

    def note(module, args, kwargs):
        # transformers 5.24 renamed it.
        names = ("cache", "past_key_values")
        cache = next((kwargs[name] for name in names if kwargs.get(name) is not None), None)
        reference.first = int(cache.get_seq_length()) if cache is not None else 0
        tokens = (kwargs.get(name) for name in ("inputs_embeds", "input_ids"))
        reference.length = next(given.shape[1] for given in (*tokens, *args) if given is not None)

    hook = decoder.register_forward_pre_hook(note, with_kwargs=True)
    file.eager_attention_forward = reference
    decoder.config._attn_implementation = "eager"
    try:
        yield reference
    finally:
        file.eager_attention_forward = eager
        decoder.config._attn_implementation = before
        hook.remove()


@contextmanager
def biased_masks(decoder, slope=0.03):
    """Let every attention's additive mask hold a penalty on distance, one slope a head (ALiBi)."""

    def add(module, args, kwargs):
        mask = kwargs.get("attention_mask")
        if mask is None:  # the laboratory runs a layer again and brings its own attention
            return args, kwargs
        assert mask.is_floating_point(), "load the decoder with eager attention"
        heads = torch.arange(1, decoder.config.num_attention_heads + 1)[:, None, None]
        n_queries, n_keys = mask.shape[-2:]
        distance = torch.arange(n_queries)[:, None] - torch.arange(n_keys)
        bias = -slope * heads * distance.clamp(min=0)
        return args, {**kwargs, "attention_mask": mask + bias}

    hooks = [
        layer.self_attn.register_forward_pre_hook(add, with_kwargs=True) for layer in decoder.layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def difference(found, expected):
    """Largest absolute difference, relative where values are beyond 1 in size."""
    return float(((found - expected).abs() / expected.abs().clamp(min=1.0)).max())
