"""The fast way: only the rows behind the first edited one run again, from the edited layer up.

Rows before the first edited one never change, nor do layers below the edited one. So one prefill is
remembered, and all variants run as one growing batch: at its first edited layer a variant joins
with the hidden states that the prefill left there. At that layer only the edited rows differ, so
only they are computed; keys and values of the rows before are shared by all variants, never copied.
Exact: the same arithmetic as a full forward in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tempo_attn.attention import Attention, AttentionCall
from tempo_attn.lab.capture import Decoder, Prefill
from tempo_attn.lab.grid import Variant
from tempo_attn.lab.rows import LOWEST, EditedRows, groups
from tempo_attn.visibility import visible_keys


@dataclass
class _Now:
    """What runs at the moment.

    Attributes:
        numbers: The variants in the batch.
        rows: (items, rows): positions of the rows that run.
        prefix: Keys before this position are the prefill's.
        joining: The variants are at their first edited layer: queries are the same for all.
    """

    numbers: list[int]
    rows: Tensor
    prefix: int
    joining: bool


class Replay:
    """Variants with the same rows, run again on one remembered prefill.

    Args:
        decoder: The decoder, in hand.
        prefill: The remembered prefill; `edited.first` lies behind its start.
        edited: The rows.
        variants: What to run.
    """

    def __init__(
        self, decoder: Decoder, prefill: Prefill, edited: EditedRows, variants: Sequence[Variant]
    ) -> None:
        self._decoder = decoder
        self._prefill = prefill
        self._edited = edited
        self._variants = list(variants)
        self._start = edited.first
        n_items = len(edited.index)
        suffix = torch.arange(self._start, prefill.n_tokens, device=edited.index.device)
        self._suffix = suffix.expand(n_items, -1)
        self._statistics = torch.zeros(
            n_items, len(variants), 4, dtype=torch.float32, device=suffix.device
        )
        self._visible: dict[tuple[object, ...], tuple[Tensor, bool]] = {}
        self._now = _Now([], suffix, 0, False)

    def run(self) -> tuple[Tensor, Tensor]:
        """Run the variants.

        Returns:
            What leaves the last layer at the last position, (items, variants, width), and the
            audio statistics (items, variants, 4).
        """
        with self._decoder.attending(self._attend):
            hidden, order = self._run_layers()
        back = torch.empty(len(order), dtype=torch.long, device=hidden.device)
        back[torch.tensor(order, device=hidden.device)] = torch.arange(
            len(order), device=hidden.device
        )
        counts = torch.tensor([len(variant.layers) for variant in self._variants])
        return hidden[:, back], self._statistics / counts.to(self._statistics)[:, None]

    def _run_layers(self) -> tuple[Tensor, list[int]]:
        n_items, n_layers = len(self._suffix), len(self._prefill.layers)
        joined: list[int] = []
        hidden: Tensor | None = None  # (items, variants, rows, width)
        for layer, state in enumerate(self._prefill.layers):
            if hidden is not None:
                self._now = _Now(joined, self._suffix, self._start, False)
                flat = self._decoder.run_again(layer, state, hidden.flatten(0, 1), self._suffix)
                hidden = flat.view(n_items, len(joined), *flat.shape[1:])
            joining = [n for n, v in enumerate(self._variants) if v.layers[0] == layer]
            if joining:
                new = self._join(layer, joining)
                hidden = new if hidden is None else torch.cat([hidden, new], 1)
                joined = joined + joining
            if layer == n_layers - 1:
                assert hidden is not None
                return hidden[:, :, -1], joined
        raise AssertionError("a decoder without layers")

    def _join(self, layer: int, joining: list[int]) -> Tensor:
        """Return what leaves a layer that is the first one edited, (items, variants, rows, width).

        Only the edited rows differ from the prefill's.
        """
        state, index = self._prefill.layers[layer], self._edited.index
        n_items, n_rows = index.shape
        width = state.hidden.shape[-1]
        at = (index - self._prefill.start)[..., None].expand(-1, -1, width)
        entering = state.hidden.gather(1, at).repeat_interleave(len(joining), 0)
        self._now = _Now(joining, index, self._prefill.n_tokens, True)
        leaving = self._decoder.run_again(layer, state, entering, index)
        plain = self._prefill.entering(layer + 1)[:, self._start - self._prefill.start :]
        new = plain[:, None].repeat(1, len(joining), 1, 1)
        at = (index - self._start)[:, None, :, None].expand(-1, len(joining), -1, width)
        return new.scatter_(2, at, leaving.view(n_items, len(joining), n_rows, width))

    # ------------------------------------------------------------------ attention

    def _attend(self, layer: int, call: AttentionCall) -> Attention:
        """Attention of the rows that run, at least in float32.

        Logits are kept in two parts, towards the prefix, (items, key/value heads, variants, heads
        of each, rows, keys), and towards the variant's own rows.
        """
        now, seen = self._now, self._prefill.layers[layer].call
        n_items, n_variants, n_rows = len(now.rows), len(now.numbers), now.rows.shape[1]
        n_kv, dim = seen.key.shape[1], seen.key.shape[3]
        dtype = torch.promote_types(call.query.dtype, torch.float32)
        query = (call.query.to(dtype) * seen.scaling).view(
            n_items, n_variants, n_kv, -1, n_rows, dim
        )
        if now.joining:
            query = query[:, :1]
        query = query.transpose(1, 2)  # (items, kv, variants, group, rows, dim)
        shape = query.shape[:-1]
        prefix = seen.key[:, :, : now.prefix].to(dtype)
        parts = [
            (query.reshape(n_items, n_kv, -1, dim) @ prefix.transpose(-1, -2)).view(*shape, -1)
        ]
        own: Tensor | None = None
        if not now.joining:
            key = call.key.to(dtype).view(n_items, n_variants, n_kv, n_rows, dim).transpose(1, 2)
            own = call.value.to(dtype).view(n_items, n_variants, n_kv, n_rows, -1).transpose(1, 2)
            parts.append((query.flatten(3, 4) @ key.transpose(-1, -2)).view(*shape, -1))
        if seen.softcap is not None:
            parts = [seen.softcap * torch.tanh(part / seen.softcap) for part in parts]
        allowed, hides_prefix = self._visible_keys(seen, now)
        parts = self._edit(layer, parts, allowed)
        by_head = allowed.view(n_items, -1, 1, 1, *allowed.shape[-2:])
        if allowed.shape[1] > 1:
            by_head = allowed.view(n_items, n_kv, 1, -1, *allowed.shape[-2:])
        if hides_prefix:
            parts[0] = parts[0].masked_fill_(~by_head[..., : now.prefix], LOWEST)
        if own is not None:
            parts[1] = parts[1].masked_fill_(~by_head[..., now.prefix :], LOWEST)
        highest = torch.stack([part.amax(-1) for part in parts]).amax(0)[..., None]
        parts = [part.sub_(highest).exp_() for part in parts]
        total = sum(part.sum(-1, keepdim=True) for part in parts)
        value = seen.value[:, :, : now.prefix].to(dtype)
        context = (parts[0].view(n_items, n_kv, -1, parts[0].shape[-1]) @ value).view(
            *parts[0].shape[:-1], -1
        )
        if own is not None:
            context += (parts[1].flatten(3, 4) @ own).view(context.shape)
        context = (context / total).permute(0, 2, 4, 1, 3, 5)  # (items, variants, rows, kv, group)
        out = context.reshape(n_items * n_variants, n_rows, -1, context.shape[-1])
        return out.to(call.query.dtype), None

    def _visible_keys(self, seen: AttentionCall, now: _Now) -> tuple[Tensor, bool]:
        """Return (items, 1 or heads, rows, keys) bool, and whether any key of the prefix is hidden.

        Keys are the prefix and the rows that run; where a variant joins, all positions.
        """
        key = (id(seen.mask), seen.sliding_window, seen.is_causal, now.joining)
        if key not in self._visible:
            n = self._prefill.n_tokens
            how = (0, n, n, seen.sliding_window, seen.is_causal)
            allowed, _ = visible_keys(seen.mask, now.rows, *how)
            self._visible[key] = (allowed, not bool(allowed[..., : now.prefix].all()))
        return self._visible[key]

    def _edit(self, layer: int, parts: list[Tensor], allowed: Tensor) -> list[Tensor]:
        """Put the edited logits in, and note the audio statistics."""
        now, edited = self._now, self._edited
        variants = [self._variants[number] for number in now.numbers]
        chosen = groups(variants, layer)
        if not chosen:
            return parts
        if now.joining:  # every row is edited, in every variant
            logits = parts[0].transpose(1, 2).flatten(2, 3)
            joined = torch.empty(
                (len(logits), len(variants), *logits.shape[2:]),
                dtype=logits.dtype,
                device=logits.device,
            )
            for group in chosen:
                new, statistics = edited.edit(
                    logits, allowed[:, None], [variants[number] for number in group]
                )
                joined[:, group] = new
                self._statistics[:, [now.numbers[number] for number in group]] += statistics
            n_kv = parts[0].shape[1]
            return [_by_kv(joined, n_kv).transpose(1, 2).contiguous()]
        at = edited.index - self._start  # (items, rows)
        item = torch.arange(len(at), device=at.device)[:, None]
        shown = allowed.transpose(1, 2)[item, at].transpose(1, 2)[:, None]
        for group in chosen:
            # (items, rows, key/value heads, variants, group, keys) of the edited rows
            old = [part[:, :, group].permute(0, 4, 1, 2, 3, 5)[item, at] for part in parts]
            logits = torch.cat(old, -1).permute(0, 3, 2, 4, 1, 5).flatten(2, 3)
            new, statistics = edited.edit(logits, shown, [variants[number] for number in group])
            self._statistics[:, [now.numbers[number] for number in group]] += statistics
            n_kv = parts[0].shape[1]
            back = _by_kv(new, n_kv).permute(0, 4, 2, 1, 3, 5)
            for part, edit in zip(parts, back.split([p.shape[-1] for p in parts], -1), strict=True):
                chosen_part = part[:, :, group].permute(0, 4, 1, 2, 3, 5)
                chosen_part[item, at] = edit
                part[:, :, group] = chosen_part.permute(0, 2, 3, 4, 1, 5)
        return parts


def _by_kv(logits: Tensor, n_kv: int) -> Tensor:
    """(items, variants, heads, ...) as (items, variants, key/value heads, heads of each, ...)."""
    return logits.view(*logits.shape[:2], n_kv, -1, *logits.shape[3:])
