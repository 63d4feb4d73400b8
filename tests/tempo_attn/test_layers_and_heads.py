"""Layer and head numbers without a configuration, as the laboratory's grids use them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.errors import ConfigError
from tempo_attn.layers_and_heads import heads_by_layer, layer_number, layer_numbers


@given(st.integers(1, 99), st.data())
def test_a_layer_counted_from_either_end_is_the_same(n_layers, data):
    layer = data.draw(st.integers(0, n_layers - 1))
    assert layer_number(layer, n_layers) == layer_number(layer - n_layers, n_layers) == layer


def test_layers_are_ascending_and_all_is_all():
    assert layer_numbers([-1, 0], 4) == [0, 3]
    assert layer_numbers("all", 3) == [0, 1, 2]


@pytest.mark.parametrize("layer", [4, -5])
def test_a_layer_out_of_range_names_the_model(layer):
    with pytest.raises(ConfigError, match=f"layer {layer} is out of range: my model has 4 layers"):
        layer_numbers([layer], 4, "my model")


def test_a_layer_is_named_once():
    with pytest.raises(ConfigError, match="every layer of 4 once"):
        layer_numbers([3, -1], 4)
    with pytest.raises(ConfigError, match="every layer of 4 once"):
        heads_by_layer({3: [0], -1: [1]}, "all", 4, 2)


def test_heads_of_every_layer():
    assert heads_by_layer(None, [0, -1], 3, 2) == {0: None, 2: None}
    assert heads_by_layer([1], [0, 2], 3, 2) == {0: [1], 2: [1]}
    assert heads_by_layer({-1: [0]}, [0, 2], 3, 2) == {0: None, 2: [0]}
    with pytest.raises(ConfigError, match=r"head 2 of layer 1 is out of range: .* 2 query heads"):
        heads_by_layer([0, 2], [1], 3, 2)
