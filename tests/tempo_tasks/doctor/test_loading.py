"""What cannot be loaded is one message, before weights are."""

import json
import re
import shutil

import pytest

from tempo_attn.errors import (
    ConfigError,
    NoAudioTokenError,
    OptionError,
    UnknownFamilyError,
    UnsupportedModelError,
)
from tempo_attn.families import get_family
from tempo_tasks.doctor import loading
from tempo_tasks.doctor.loading import Request, load, named_model
from tempo_tasks.errors import (
    EightBitModelError,
    MissingPackageError,
    NoAudioProcessorError,
    NoAudioTemplateError,
    RemoteCodeError,
)
from tempo_tasks.tiny import WEIGHTS_DIR
from tests.tempo_tasks.doctor.test_every_check import NO_AUDIO


@pytest.fixture
def no_weights(monkeypatch):
    def fail(*given):
        raise AssertionError("weights are loaded")

    monkeypatch.setattr(loading, "load_model", fail)


@pytest.fixture
def folder(tmp_path):
    """The embedded model's files, but for its weights."""
    target = tmp_path / "model"
    shutil.copytree(WEIGHTS_DIR, target, ignore=shutil.ignore_patterns("*.safetensors"))
    return target


def rewrite(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def refuses(error, pattern, **request):
    with pytest.raises(error) as caught:
        load(Request(**request))
    assert type(caught.value) is error
    assert re.search(pattern, str(caught.value)), caught.value


# ---------------------------------------------------------------------- how a model is named


@pytest.mark.parametrize(
    ("model", "arguments", "expected"),
    [
        (None, {}, (None, {})),
        ("me/x", {"dtype": "float32"}, ("me/x", {"dtype": "float32"})),
        ("lalm", {"pretrained": "me/x", "dtype": "float32"}, ("me/x", {"dtype": "float32"})),
        ("lalm", {}, (None, {})),
        (None, {"pretrained": "me/x"}, ("me/x", {})),
    ],
)
def test_a_model_is_named_as_elsewhere_or_as_in_lm_eval(model, arguments, expected):
    assert named_model(model, arguments) == expected


def test_a_model_is_named_once():
    with pytest.raises(OptionError, match="name a model each"):
        named_model("me/x", {"pretrained": "me/y"})


# ---------------------------------------------------------------------- what is refused


@pytest.mark.usefixtures("no_weights")
def test_there_is_no_such_model():
    refuses(OptionError, "no such folder", model="./nowhere")
    refuses(OptionError, "'nobody/nothing' cannot be read", model="nobody/nothing")


@pytest.mark.usefixtures("no_weights")
def test_another_kind_of_model(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    refuses(UnknownFamilyError, "no audio model family for model_type 'bert'", model=str(folder))
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    refuses(UnsupportedModelError, "cross-attention", model=str(folder))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "qwen9_audio"}))
    refuses(OptionError, "qwen9_audio", model=str(folder))


@pytest.mark.usefixtures("no_weights")
def test_code_of_its_own(folder):
    auto_map = {"AutoConfig": "configuration_x.XConfig"}
    rewrite(folder / "config.json", model_type="x_of_its_own", auto_map=auto_map)
    refuses(RemoteCodeError, "--model_args trust_remote_code=True", model=str(folder))


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(
    "stored",
    [
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {"quant_method": "bitsandbytes", "_load_in_8bit": True},
    ],
)
def test_a_checkpoint_in_8_bits_of_bitsandbytes(stored, folder):
    rewrite(folder / "config.json", quantization_config=stored)
    refuses(EightBitModelError, "is in 8 bits .*bfloat16", model=str(folder))


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(
    "stored",
    [
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"quant_method": "gptq", "bits": 8},
        {"quant_method": "fbgemm_fp8"},
        {"quant_method": "quanto", "weights": "int8"},
    ],
)
def test_other_quantized_checkpoints_are_loaded(stored, folder):
    rewrite(folder / "config.json", quantization_config=stored)
    refuses(AssertionError, "weights are loaded", model=str(folder))


@pytest.mark.usefixtures("no_weights")
def test_8_bits_are_asked_for():
    refuses(EightBitModelError, "load_in_8bit=True", model_args={"load_in_8bit": True})


@pytest.mark.usefixtures("no_weights")
def test_a_missing_package(monkeypatch):
    def needs(*given, **named):
        raise ImportError("Qwen2_5OmniProcessor requires the Torchvision library")

    monkeypatch.setattr("tempo_attn.families.base.AutoProcessor.from_pretrained", needs)
    refuses(MissingPackageError, "embedded needs a package .*Torchvision library")


def test_a_package_that_the_weights_need(monkeypatch):
    def needs(*given, **named):
        raise ImportError("No module named 'flash_attn'")

    monkeypatch.setattr("tempo_tasks.lab.study.LALM", needs)
    refuses(MissingPackageError, "No module named 'flash_attn'")


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize("gone", ["all but the tokenizer", "everything"])
def test_a_processor_without_audio(gone, folder):
    for path in folder.iterdir():
        if path.name != "config.json" and ("token" not in path.name or gone == "everything"):
            path.unlink()
    refuses(NoAudioProcessorError, "processor", model=str(folder))


@pytest.mark.usefixtures("no_weights")
def test_a_processor_of_another_checkpoint(folder):
    rewrite(folder / "config.json", audio_token_index=3, audio_token_id=3)
    refuses(NoAudioTokenError, "needs an audio token", model=str(folder))


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        (NO_AUDIO, r"of 1 clips has 0 times '<\|AUDIO\|>' in it"),
        ("{{ raise_exception('text only') }}", "cannot be rendered: TemplateError: text only"),
        (None, "cannot be rendered: ValueError"),
    ],
)
def test_a_template_without_audio(template, pattern, folder, monkeypatch):
    load_processor = get_family(loading.model_config(None, {})).load_processor

    def other(family, *given, **named):
        processor = load_processor(*given, **named)
        processor.chat_template = template
        return processor

    monkeypatch.setattr("tempo_attn.families.base.Family.load_processor", other)
    refuses(NoAudioTemplateError, pattern, model=str(folder))


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ({"attn_scale": "x"}, "--attn-scale"),
        ({"device": "cpu"}, "given by --device"),
        ({"mixed_precision_dtype": "bfloat16"}, "mixed_precision_dtype"),
        ({"dtipe": "bfloat16"}, "Did you mean 'dtype'"),
    ],
)
def test_arguments_that_are_options_of_their_own(arguments, pattern):
    refuses(OptionError, pattern, model_args=arguments)


@pytest.mark.usefixtures("no_weights")
def test_a_configuration_that_is_not_there():
    refuses(ConfigError, "no such folder or file", attn_scale="./nowhere")


def test_weights_that_do_not_load(folder):
    refuses(OptionError, "does not load", model=str(folder))
