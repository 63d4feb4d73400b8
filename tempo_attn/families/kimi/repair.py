"""Kimi-Audio's remote code is written for transformers 4; what transformers 5 breaks in it.

Two things: the rotary tables, which transformers 5 leaves without values when it loads a model (the
outputs are NaN then), and a function that took the positions and takes them no more.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch
from torch import nn

from tempo_attn.errors import UnsupportedModelError

_ROTATE = "apply_rotary_pos_emb"
_WHOLE = "_tempo_whole_tables"


def check_rotary(attention: nn.Module) -> None:
    """Check that an attention module can turn queries and keys by their positions.

    Raises:
        UnsupportedModelError: It was loaded by transformers 5 and is not repaired.
    """
    rotary: Any = getattr(attention, "rotary_emb", None)
    table = getattr(rotary, "cos_cached", None)
    if table is None:
        return
    second = _angles(rotary, 2)[1].cos()
    if not (torch.allclose(table[1].float(), second, atol=1e-2) and _turns(attention)):
        raise UnsupportedModelError(
            "Kimi-Audio's own code is written for transformers 4, and what transformers "
            "5 has loaded gives NaN or fails; call "
            "tempo_attn.families.kimi.repair.repair_for_transformers_5(model) first"
        )


def repair_for_transformers_5(model: nn.Module) -> None:
    """Repair a loaded Kimi-Audio model in place, and the module that its code is.

    Args:
        model: MoonshotKimiaForCausalLM, as `from_pretrained` of transformers 5 returns it.
    """
    for attention in model.modules():
        rotary: Any = getattr(attention, "rotary_emb", None)
        if not hasattr(rotary, "cos_cached"):
            continue
        table = rotary.cos_cached
        angles = _angles(rotary, len(table))
        rotary.inv_freq = _frequencies(rotary)
        rotary.cos_cached = angles.cos().to(table)
        rotary.sin_cached = angles.sin().to(table)
        if not _turns(attention):
            code = sys.modules[type(attention).__module__]
            setattr(code, _ROTATE, _with_positions(getattr(code, _ROTATE)))


def choose_any_position(model: nn.Module) -> None:
    """Let attention modules be called for any positions, and not for the first ones alone.

    The code takes the rows of its tables up to the number of tokens in a call, and of those the
    positions': the laboratory runs single tokens again, wherever they stand.

    Args:
        model: MoonshotKimiaForCausalLM; its class of tables is changed.
    """
    for kind in {type(module) for module in model.modules() if hasattr(module, "cos_cached")}:
        if not hasattr(kind.forward, _WHOLE):
            kind.forward = _whole_tables(kind.forward)


def _whole_tables(plain: Any) -> Any:
    def whole_tables(self: Any, x: torch.Tensor, seq_len: int = 0) -> Any:
        return plain(self, x, seq_len=max(seq_len, len(self.cos_cached)))

    setattr(whole_tables, _WHOLE, True)
    return whole_tables


def _frequencies(rotary: Any) -> torch.Tensor:
    steps = torch.arange(0, rotary.dim, 2, device=rotary.cos_cached.device).float()
    frequencies: torch.Tensor = 1.0 / rotary.base ** (steps / rotary.dim)
    return frequencies


def _angles(rotary: Any, n_positions: int) -> torch.Tensor:
    """Return the angles of the first positions, (positions, dim)."""
    frequencies = _frequencies(rotary)
    positions = torch.arange(n_positions, device=frequencies.device).float()
    angles = torch.outer(positions, frequencies)
    return torch.cat([angles, angles], dim=-1)


def _turns(attention: nn.Module) -> bool:
    """Return whether the function that the code calls takes the positions as its fifth argument."""
    rotate = getattr(sys.modules[type(attention).__module__], _ROTATE, None)
    names = list(inspect.signature(rotate).parameters) if rotate is not None else []
    return len(names) > 4 and names[4] == "position_ids"


def _with_positions(rotate: Any) -> Any:
    def rotate_with_positions(
        query: Any, key: Any, cos: Any, sin: Any, position_ids: Any = None
    ) -> Any:
        return rotate(query, key, cos, sin)  # the code has chosen the positions' angles before

    return rotate_with_positions
