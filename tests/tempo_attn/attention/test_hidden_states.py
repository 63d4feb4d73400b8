"""Hidden states of a module: read, changed, and left alone once the hooks are off."""

import doctest

import pytest
import torch
from torch import nn

from tempo_attn.attention import hidden_states
from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.errors import UnsupportedModelError

STATES = torch.arange(6.0).view(1, 2, 3)


class Layer(nn.Module):
    """Adds one; gives its states alone, or in a tuple with something else."""

    def __init__(self, in_tuple):
        super().__init__()
        self.in_tuple = in_tuple

    def forward(self, hidden_states, scale=1.0):
        out = hidden_states * scale + 1
        return (out, "cache") if self.in_tuple else out


@pytest.fixture(params=[False, True], ids=["alone", "in a tuple"])
def layer(request):
    return Layer(request.param)


def test_the_example():
    assert doctest.testmod(hidden_states) == (0, 4)


def leaving(output):
    return output[0] if isinstance(output, tuple) else output


def test_states_are_seen_and_left_alone(layer):
    seen = []
    with StateHooks() as hooks:
        hooks.on_input(layer, seen.append)
        hooks.on_output(layer, seen.append)
        assert leaving(layer(STATES)).equal(STATES + 1)
    entered, left = seen
    assert entered.equal(STATES)
    assert left.equal(STATES + 1)


@pytest.mark.parametrize("by_name", [False, True])
def test_states_are_changed_and_the_rest_of_the_call_stays(layer, by_name):
    with StateHooks() as hooks:
        hooks.on_input(layer, lambda states: states * 10)
        hooks.on_output(layer, lambda states: -states)
        output = layer(hidden_states=STATES, scale=2.0) if by_name else layer(STATES, 2.0)
    assert leaving(output).equal(-(STATES * 20 + 1))
    assert not layer.in_tuple or output[1] == "cache"


def test_all_hooks_come_off_together_also_after_an_error(layer):
    with StateHooks() as hooks:
        hooks.on_input(layer, lambda states: states * 0)
        hooks.on_output(layer, lambda states: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            layer(STATES)
    assert leaving(layer(STATES)).equal(STATES + 1)
    hooks = StateHooks()
    hooks.add(layer.register_forward_hook(lambda *call: torch.zeros(1)))
    hooks.remove()
    assert leaving(layer(STATES)).equal(STATES + 1)


def test_an_output_that_nobody_asks_for_is_not_looked_at():
    odd = nn.Flatten()
    with StateHooks() as hooks:
        hooks.on_output(odd, lambda states: states * 0, only_if=lambda: False)
        assert odd(STATES).equal(STATES.view(1, 6))


@pytest.mark.parametrize("add", [StateHooks.on_input, StateHooks.on_output])
@pytest.mark.parametrize("wrong", [torch.zeros(2, 3), None])
def test_anything_but_states_is_refused_by_the_modules_name(add, wrong):
    hooks, module = StateHooks(), nn.Identity()
    add(hooks, module, lambda states: None)
    expected = r"Identity (gives|is called with) .*; expected states of \(batch, tokens, width\)"
    with pytest.raises(UnsupportedModelError, match=expected):
        module(wrong)
