"""Kimi-Audio's remote code under transformers 5: a module broken in the same two ways."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn
from transformers.models.qwen2.modeling_qwen2 import apply_rotary_pos_emb

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.families.kimi.repair import (
    check_rotary,
    choose_any_position,
    repair_for_transformers_5,
)

CODE = "tests_remote_code_of_kimi"


class Rotary(nn.Module):
    """Tables as the remote code makes them; `loaded` as transformers 5 leaves them."""

    def __init__(self, loaded):
        super().__init__()
        self.dim, self.base = 8, 10000.0
        frequencies = 1.0 / self.base ** (torch.arange(0, 8, 2).float() / 8)
        angles = torch.outer(torch.arange(16).float(), frequencies).repeat(1, 2)
        tables = {"inv_freq": frequencies, "cos_cached": angles.cos(), "sin_cached": angles.sin()}
        for name, table in tables.items():
            left = torch.full_like(table, torch.nan) if loaded else table
            self.register_buffer(name, left, persistent=False)


class Attention(nn.Module):
    def __init__(self, loaded):
        super().__init__()
        self.rotary_emb = Rotary(loaded)

    def forward(self, query, key, position_ids):
        cos, sin = (
            self.rotary_emb.cos_cached[position_ids],
            self.rotary_emb.sin_cached[position_ids],
        )
        rotate = sys.modules[type(self).__module__].apply_rotary_pos_emb
        return rotate(query, key, cos, sin, position_ids)


@pytest.fixture
def code(monkeypatch):
    """The module of the remote code: its function is that of the installed transformers."""
    module = ModuleType(CODE)
    module.apply_rotary_pos_emb = apply_rotary_pos_emb
    monkeypatch.setitem(sys.modules, CODE, module)
    monkeypatch.setattr(Attention, "__module__", CODE)
    return module


def test_a_loaded_model_is_refused_until_it_is_repaired(code):
    model = nn.Sequential(Attention(loaded=True), nn.Linear(2, 2), Attention(loaded=True))
    with pytest.raises(UnsupportedModelError, match="repair_for_transformers_5"):
        check_rotary(model[0])
    repair_for_transformers_5(model)
    repair_for_transformers_5(model)  # twice is as good
    query, key = torch.randn(2, 1, 2, 5, 8, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([[3, 4, 5, 6, 7]])
    good = Rotary(loaded=False)
    expected = apply_rotary_pos_emb(
        query, key, good.cos_cached[positions], good.sin_cached[positions]
    )
    for attention in (model[0], model[2]):
        check_rotary(attention)
        found = attention(query, key, positions)
        assert all(map(torch.equal, found, expected))
        assert torch.equal(attention.rotary_emb.inv_freq, good.inv_freq)


def test_tables_alone_are_not_enough(code):
    with pytest.raises(UnsupportedModelError):
        check_rotary(Attention(loaded=False))


def test_modules_without_tables_are_left_alone(code):
    model = nn.Linear(2, 2)
    check_rotary(model)
    repair_for_transformers_5(model)
    assert code.apply_rotary_pos_emb is apply_rotary_pos_emb


def test_a_single_token_is_turned_by_its_own_position():
    """The code cuts its tables at the number of tokens in a call."""

    class Cut(Rotary):
        def forward(self, x, seq_len=None):
            return self.cos_cached[:seq_len], self.sin_cached[:seq_len]

    rotary = Cut(loaded=False)
    model = nn.Sequential(rotary)
    with pytest.raises(IndexError):
        rotary(None, seq_len=1)[0][torch.tensor([7])]
    choose_any_position(model)
    once = Cut.forward
    choose_any_position(model)
    assert Cut.forward is once  # twice is as good
    cos, sin = (table[torch.tensor([7])] for table in rotary(None, seq_len=1))
    assert torch.equal(cos[0], rotary.cos_cached[7])
    assert torch.equal(sin[0], rotary.sin_cached[7])
