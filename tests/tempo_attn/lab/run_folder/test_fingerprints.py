"""Fingerprints change with what numbers depend on, and with nothing else."""

import importlib
import json
import math
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn

from tempo_attn.errors import FingerprintError
from tempo_attn.lab.run_folder import fingerprints
from tempo_attn.lab.run_folder.fingerprints import (
    SAMPLES,
    code_fingerprint,
    content_key,
    environment,
    model_fingerprint,
)

# ---------------------------------------------------------------------- content


def test_a_key_is_that_of_the_content():
    # printf '{"a":[1,2.5,null],"é":true}' | sha256sum
    expected = "21b0ae764c2c3ce541f7107d30536b97d1033ba82b58437e03b3541048641eab"
    assert content_key({"é": True, "a": (1, 2.5, None)}) == expected
    assert content_key({"a": [1, 2.5, None], "é": False}) != expected


@pytest.mark.parametrize("data", [math.nan, [math.inf], {1, 2}, b"x", {"a": object()}, "\ud800"])
def test_a_key_needs_json(data):
    with pytest.raises(
        FingerprintError, match=r"no key can be made of this \w+: .*; expected JSON"
    ):
        content_key(data)


# ---------------------------------------------------------------------- code


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes a package's files somewhere new and imports it."""

    def write(files, name="some_package"):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for file, text in {"__init__.py": "", **files}.items():
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_text(text)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return write


FILES = {"a.py": "x = 1", "sub/b.yaml": "task: eo", "sub/c.j2": "{{ x }}"}


@pytest.mark.parametrize(
    "changes",
    [
        {"a.py": "x = 2"},
        {"sub/b.yaml": "task: lo"},
        {"sub/c.j2": "{{ y }}"},
        {"sub/d.py": ""},
    ],
)
def test_code_that_changed(package, changes):
    before = code_fingerprint(package(FILES))
    assert code_fingerprint(package({**FILES, **changes})) != before


def test_the_same_text_in_other_files_is_a_change(package):
    one, two = {"a.py": "1some_package/b.py2"}, {"a.py": "1", "b.py": "2"}
    assert code_fingerprint(package(one)) != code_fingerprint(package(two))
    assert code_fingerprint(package({"a.py": "1"})) != code_fingerprint(package({"b.py": "1"}))


def test_where_code_lies_and_what_is_no_code_does_not_count(package):
    before = code_fingerprint(package(FILES))
    assert code_fingerprint(package({**FILES, "notes.md": "x", "a.pyc": "x"})) == before


def test_the_order_of_packages_does_not_count(package):
    one, two = package(FILES, "one"), package(FILES, "two")
    assert code_fingerprint(one, two) == code_fingerprint(two, one) != code_fingerprint(one)
    assert code_fingerprint(one) != code_fingerprint(two)


def test_a_package_without_files():
    with pytest.raises(FingerprintError, match="package 'nowhere' has no file"):
        code_fingerprint(types.ModuleType("nowhere"))


def test_code_is_read_once(package):
    found = package(FILES)
    before = code_fingerprint(found)
    (Path(found.__path__[0]) / "a.py").write_text("x = 2")
    assert code_fingerprint(found) == before


# ---------------------------------------------------------------------- models


class Config:
    """What transformers' configurations have of use here."""

    model_type = "some_model"
    _attn_implementation = "sdpa"

    def __init__(self, **fields):
        self.fields = fields

    def to_dict(self):
        return self.fields


class Model(nn.Module):
    def __init__(self, size=20, **config):
        super().__init__()
        self.linear = nn.Linear(size, size)
        self.register_buffer("mean", torch.zeros(3))
        self.config = Config(**config)
        with torch.no_grad():
            for number, weight in enumerate(self.parameters()):
                weight.copy_(torch.arange(weight.numel()).reshape(weight.shape) / 7 + number)


def changed(change, **kwargs):
    model = Model(**kwargs)
    with torch.no_grad():
        change(model)
    return model_fingerprint(model)


CHANGES = {
    "a parameter": lambda m: m.linear.weight.add_(1e-3),
    "its first element": lambda m: m.linear.weight[0, 0].add_(1e-3),
    "its last element": lambda m: m.linear.weight[-1, -1].add_(1e-3),
    "a bias": lambda m: m.linear.bias.mul_(2),
    "a buffer": lambda m: m.mean.add_(1),
    "the sign of a zero": lambda m: m.mean.mul_(-1),
    "dtype": lambda m: m.bfloat16(),
    "only the dtype": lambda m: setattr(m, "mean", torch.zeros(3, dtype=torch.int32)),
    "a name": lambda m: setattr(m, "linear2", m._modules.pop("linear")),
    "a shape": lambda m: setattr(m, "mean", m.mean.reshape(1, 3)),
    "one more buffer": lambda m: m.register_buffer("std", torch.zeros(0)),
    "the order of elements": lambda m: setattr(m.linear, "weight", nn.Parameter(m.linear.weight.T)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_model_that_changed(what):
    assert changed(CHANGES[what]) != model_fingerprint(Model())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.int8])
def test_models_of_any_dtype(dtype):
    def double(model):
        model.to(dtype) if dtype.is_floating_point else None
        model.register_buffer("more", torch.arange(100).to(dtype))
        model.register_buffer("scalar", torch.ones(()).to(dtype))

    def other(model):
        double(model)
        model.more[-1] = 1

    same = [changed(double), changed(double)]
    assert same[0] == same[1] != changed(other)


def test_how_weights_lie_in_memory_does_not_count():
    def transposed(model):
        model.linear.weight = nn.Parameter(model.linear.weight.T.contiguous().T)

    assert changed(transposed) == model_fingerprint(Model())


def test_a_sample_of_a_large_weight_is_taken_all_over_it():
    found = set()
    size = 100
    for row in range(size):
        if changed(lambda m, row=row: m.linear.weight[row].add_(1), size=size) != changed(
            lambda m: None, size=size
        ):
            found.add(row)
    assert len(found) == SAMPLES
    assert max(b - a for a, b in zip(sorted(found), sorted(found)[1:], strict=False)) == 2


CONFIG = {"hidden_size": 20, "text_config": {"rope": {"theta": 1e4}}, "id2label": {0: "a"}}
VOLATILE = {
    "_name_or_path": "/somewhere",
    "transformers_version": "5.0",
    "torch_dtype": "float32",
    "dtype": "float32",
    "_attn_implementation": "eager",
    "architectures": ["Model"],
}


def test_the_configuration_counts_where_it_says_what_the_model_is():
    before = model_fingerprint(Model(**CONFIG))
    moved = {**CONFIG, **VOLATILE, "text_config": {**CONFIG["text_config"], **VOLATILE}}
    assert model_fingerprint(Model(**moved)) == before
    theta = {**CONFIG, "text_config": {"rope": {"theta": 1e5}}}
    assert model_fingerprint(Model(**theta)) != before
    assert model_fingerprint(Model(**CONFIG, limit=math.inf)) != before  # some models have it
    assert model_fingerprint(nn.Linear(2, 2)) != before  # and some have no configuration


def test_weights_that_are_not_loaded():
    with pytest.raises(FingerprintError, match=r"weight 'linear\.bias' is on the meta device"):
        model_fingerprint(Model().to("meta"))


# ---------------------------------------------------------------------- environment


def test_the_environment_says_what_numbers_depend_on():
    found = environment(Model().bfloat16())
    info = found.pop("info")
    assert found == {
        "tempo": found["tempo"],
        "transformers": importlib.metadata.version("transformers"),
        "torch": torch.__version__,
        "dtype": "bfloat16",
        "attention": "sdpa",
        "device": "cpu",
        "float32_matmul": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
    }
    assert set(info) == {"python", "device_name"}
    json.dumps(found, allow_nan=False)


def test_mixed_dtypes_are_told():
    model = Model()
    model.linear.bias.data = model.linear.bias.data.bfloat16()
    assert environment(model)["dtype"] == "bfloat16+float32"


def test_attention_is_the_decoders_and_the_wrapper_does_not_count():
    from tempo_attn import AttnScaleConfig, apply_attn_scale
    from tempo_tasks.tiny.tokenizer_and_model import build_model, build_processor

    model = build_model(build_processor())
    model.set_attn_implementation({"text_config": "eager", "audio_config": "sdpa"})
    plain = model_fingerprint(model), environment(model)
    assert plain[1]["attention"] == "eager"
    wrapped = apply_attn_scale(model, AttnScaleConfig(strength=2.0, layers=[0]))
    assert (model_fingerprint(wrapped), environment(wrapped)) == plain


def test_the_version_of_what_is_not_installed():
    assert fingerprints._version("no-such-distribution") is None
