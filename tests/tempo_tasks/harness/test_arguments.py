"""Model arguments: every wrong one is told of before anything is loaded, with the nearest right."""

import json

import pytest
import torch

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import (
    ConfigError,
    OptionError,
    TempoError,
    UnknownFamilyError,
    UnsupportedModelError,
)
from tempo_tasks.errors import EightBitModelError, RemoteCodeError
from tempo_tasks.harness.arguments import check_arguments, known_names
from tempo_tasks.harness.audio_hflm import AudioHFLM
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.tiny import WEIGHTS_DIR

WRONG = [
    ({"long_audio": "x"}, r"long_audio='x': expected 'error' or 'truncate'"),
    ({"long_audio": "trunkate"}, r"Did you mean 'truncate'\?"),
    ({"attn_scale_missing": "warm"}, r"expected 'raise' or 'warn'. Did you mean 'warn'\?"),
    ({"max_channels": -1}, "max_channels=-1: expected a whole number, 0 or more"),
    ({"max_rate": "fast"}, "max_rate='fast': expected a whole number"),
    ({"max_length": 0}, "1 or more"),
    ({"max_batch_size": 0.5}, "1 or more"),
    ({"batch_size": 0}, "batch_size=0: expected 1 or more items, or 'auto'"),
    ({"batch_size": "atuo"}, r"Did you mean 'auto'\?"),
    ({"batch_size": "auto:0"}, "expected 1 or more items"),
    ({"prefix_token_id": "bos"}, "whole number"),
    ({"dtype": "bfloat61"}, r"dtype='bfloat61': .*Did you mean 'bfloat16'"),
    ({"dtype": "add"}, "a dtype of torch"),  # torch has an attribute of this name
    ({"softmax_dtype": "float23"}, r"Did you mean 'float32'"),
    ({"mixed_precision_dtype": 16}, "dtype of torch"),
    ({"device": "cudda"}, r"device='cudda': .*Did you mean 'cuda'\?"),
    ({"device": "gpu"}, "expected 'cpu', 'cuda'"),
    ({"device": "cuda:99"}, "torch sees"),
    ({"attn_implementation": "sdap"}, r"Did you mean 'sdpa'\?"),
    ({"trust_remote_code": "yes"}, "expected True or False"),
    ({"parallelize": "ture"}, r"Did you mean 'True'\?"),
    ({"long_audoi": "error"}, r"unknown model argument 'long_audoi'. Did you mean 'long_audio'\?"),
    ({"attn_scal": "x"}, r"Did you mean 'attn_scale'"),
    ({"dtpye": "float32"}, r"Did you mean 'dtype'"),
    ({"nonsense": 1}, r"unknown model argument 'nonsense'\. lalm takes those of hf and processor"),
    ({"attn_scale": 3}, "attn_scale is a int"),
    ({"peft": "./lora"}, r"peft='./lora': no such folder"),
    ({"delta": "/no/where"}, "no such folder"),
    ({"processor": "../none"}, "no such folder"),
    ({"pretrained": "./nowhere"}, r"pretrained='./nowhere': no such folder"),
]
WRONG_EDITS = [
    ({"attn_scale": "./nowhere"}, r"nowhere: no such folder or file"),
    ({"attn_scale": AttnScaleConfig(strength=2.0, layers=[6])}, "layer 6 is out of range"),
    ({"attn_scale": AttnScaleConfig(strength=2.0, heads=[4])}, "head 4 of layer 0 is out of range"),
    ({"attn_scale": AttnScaleConfig(strength=2.0, keys="transcript")}, "keys .*'transcript'"),
]


@pytest.fixture
def nothing_loads(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("something is loaded")

    monkeypatch.setattr(AudioHFLM, "_get_config", fail)


@pytest.mark.parametrize(
    ("arguments", "message", "error"),
    [
        *((*wrong, OptionError) for wrong in WRONG),
        *((*wrong, ConfigError) for wrong in WRONG_EDITS),
    ],
)
def test_wrong_arguments(arguments, message, error, nothing_loads):
    with pytest.raises(error, match=message) as caught:
        LALM(**arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "arguments",
    [
        {"long_audio": "truncate", "max_channels": 0, "max_rate": 48000.0},
        *({"batch_size": size} for size in (1, "16", "auto", "auto:4")),
        *({"dtype": dtype} for dtype in ("auto", "float32", torch.bfloat16)),
        *(
            {"attn_implementation": name}
            for name in ("eager", "sdpa", "owner/kernel", {"": "sdpa"})
        ),
        {"device": "cuda:0"},  # what lm_eval says where nothing is said
        {"device": "cpu", "trust_remote_code": True, "revision": "main", "add_bos_token": None},
        {"load_in_4bit": True, "bnb_4bit_compute_dtype": "bfloat16", "cache_dir": None},
        {"audio_token_index": 3},  # an attribute of the model's configuration, as for hf
        {"attn_scale": AttnScaleConfig(strength=2.0, layers=[-1], heads=[3])},
    ],
)
def test_right_arguments(arguments):
    check_arguments(None, arguments)


def test_folders_without_a_model(tmp_path, nothing_loads):
    (tmp_path / "model-a").mkdir()
    (tmp_path / "model-a" / "weights.bin").touch()
    for name, message in (
        ("model-a", r"expected a folder with config.json; it has weights.bin"),
        ("model-a/weights.bin", "not a file"),
        ("model-b", r"no such folder. Did you mean 'model-a'\?"),
    ):
        with pytest.raises(OptionError, match=message):
            LALM(str(tmp_path / name))
        with pytest.raises(OptionError):
            LALM(peft=str(tmp_path / name))
    (tmp_path / "model-a" / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(OptionError, match="max_rate"):
        LALM(str(tmp_path / "model-a"), max_rate=-1)
    edit = AttnScaleConfig(strength=2.0)
    with pytest.raises(UnknownFamilyError):
        LALM(str(tmp_path / "model-a"), attn_scale=edit)


def test_a_name_on_the_hub_is_left_to_its_client():
    """No network here: the client says so, in one message that names the model."""
    with pytest.raises(OptionError, match="the model 'owner/none' cannot be read"):
        check_arguments("owner/none", {"attn_scale": AttnScaleConfig(strength=2.0)})
    check_arguments("owner/none", {"peft": "owner/lora", "processor": "owner/none"})


def test_a_loaded_model_is_checked_too():
    model = LALM(str(WEIGHTS_DIR), batch_size=1).model
    with pytest.raises(TempoError, match="layer 6 is out of range"):
        check_arguments(model, {"attn_scale": AttnScaleConfig(strength=2.0, layers=[6])})


def test_every_argument_of_hf_is_known():
    assert {"pretrained", "dtype", "peft", "think_end_token", "attn_scale"} <= set(known_names())


def test_8_bits_of_bitsandbytes_are_refused_before_weights(tmp_path, monkeypatch):
    def fail(*given, **named):
        raise AssertionError("weights are loaded")

    monkeypatch.setattr(AudioHFLM, "_create_model", fail)
    config = json.loads((WEIGHTS_DIR / "config.json").read_text())
    for stored, raised in (("load_in_8bit", EightBitModelError), ("load_in_4bit", AssertionError)):
        quantized = {"quant_method": "bitsandbytes", stored: True}
        (tmp_path / "config.json").write_text(
            json.dumps(config | {"quantization_config": quantized})
        )
        for path in WEIGHTS_DIR.glob("*token*"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        for path in WEIGHTS_DIR.glob("*processor*"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        with pytest.raises(raised):
            LALM(str(tmp_path), device="cpu")
    with pytest.raises(EightBitModelError, match="load_in_4bit=True"):
        LALM(device="cpu", load_in_8bit=True)


@pytest.mark.parametrize("call", [LALM, lambda name: check_arguments(name, {"family": "generic"})])
@pytest.mark.parametrize(
    ("model_type", "raised", "message"),
    [
        ("phi4mm", UnsupportedModelError, "revision=refs/pr/70"),
        ("kimi_audio", RemoteCodeError, "trust_remote_code=True"),
        ("another", RemoteCodeError, "trust_remote_code=True"),
    ],
)
def test_remote_code_is_asked_for_once_and_not_to_refuse_the_model_then(
    model_type, raised, message, call, tmp_path
):
    code = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    content = {"model_type": model_type, "auto_map": code}
    (tmp_path / "config.json").write_text(json.dumps(content))
    (tmp_path / "code.py").write_text("raise AssertionError")
    with pytest.raises(raised, match=message):
        call(str(tmp_path))
