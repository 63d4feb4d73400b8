"""What cannot be edited inside vLLM is said by name."""

from dataclasses import replace

import pytest

from tempo_attn.errors import UnsupportedModelError
from tempo_attn.serving.refusals import (
    SUPPORTED_VLLM,
    LayerFacts,
    ServerFacts,
    check_layers,
    check_server,
    check_version,
)

FINE = ServerFacts(version=SUPPORTED_VLLM[-1])


def test_a_supported_server_passes():
    check_server(FINE)
    check_server(replace(FINE, version=f"{SUPPORTED_VLLM[-1]}+cpu", executor="mp"))
    check_layers([LayerFacts(0, "layers.0"), LayerFacts(1, "layers.1", cache_type="bfloat16")])
    check_layers([])


@pytest.mark.parametrize("version", ["0.31.0", "0.33.0", "0.32.1", "0.32.0rc1", "dev"])
def test_another_release_is_refused(version):
    with pytest.raises(UnsupportedModelError, match=r"inside vLLM 0\.32\.0 only"):
        check_version(version)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"second_runner": True}, "VLLM_USE_V2_MODEL_RUNNER=0"),
        ({"compiles": True}, "--enforce-eager"),
        ({"speculates": True}, "speculative decoding"),
        ({"transfers_keys": True}, "--kv-transfer-config"),
        ({"splits_batches": True}, "--enable-dbo"),
        ({"pipeline_ranks": 2}, "--tensor-parallel-size"),
        ({"context_ranks": 2}, "context parallelism"),
        ({"engines": 2}, "give the client all their addresses"),
        ({"executor": "ray"}, "'ray' on 1 machine"),
        ({"nodes": 2}, "on 2 machine"),
        ({"encoder_decoder": True}, "encoder-decoder"),
        ({"shares_prefill": True}, "--kv-sharing-fast-prefill"),
    ],
)
def test_each_way_to_go_unedited_is_refused(changed, message):
    with pytest.raises(UnsupportedModelError, match=message):
        check_server(replace(FINE, **changed))


def test_all_reasons_are_named_at_once():
    with pytest.raises(UnsupportedModelError) as error:
        check_server(replace(FINE, second_runner=True, compiles=True))
    assert "VLLM_USE_V2_MODEL_RUNNER=0" in str(error.value)
    assert "--enforce-eager" in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"plain": False, "kind": "MLAAttention"}, "MLAAttention"),
        ({"sliding_window": 512}, "sliding window of 512"),
        ({"softcap": 50.0}, "caps its logits at 50"),
        ({"cache_type": "fp8_e5m2"}, "keeps keys in fp8_e5m2"),
        ({"has_bias": True}, "adds a bias"),
        ({"has_sinks": True}, "has sinks"),
        ({"shares_keys": True}, "another layer's keys"),
        ({"sees_ahead": True}, "see keys after them"),
    ],
)
def test_each_kind_of_layer_is_refused(changed, message):
    layer = replace(LayerFacts(3, "model.layers.3.attn"), **changed)
    with pytest.raises(UnsupportedModelError, match=message) as error:
        check_layers([LayerFacts(0, "model.layers.0.attn"), layer])
    assert "layer 3" in str(error.value)
    assert "layer 0" not in str(error.value)
