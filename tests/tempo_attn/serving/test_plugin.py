"""What vLLM calls in each of its processes."""

import sys
from importlib import import_module
from types import ModuleType

import pytest

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import UnsupportedModelError
from tempo_attn.serving.plugin import SERVE, register
from tempo_attn.serving.settings import SOURCES
from tempo_attn.serving.start import GROUP, PLUGIN
from tests.support.paths import ROOT


@pytest.fixture
def vllm(monkeypatch):
    """A package called vllm that has a version and nothing else."""
    module = ModuleType("vllm")
    module.__version__ = "0.33.0"
    monkeypatch.setitem(sys.modules, "vllm", module)
    for name in (SOURCES, SERVE):
        monkeypatch.delenv(name, raising=False)
    return module


def test_it_does_nothing_unless_it_is_asked_to(vllm, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)  # any import of it fails
    register()
    monkeypatch.setenv(SOURCES, "  ")
    register()


def test_another_release_is_refused_aloud(vllm, monkeypatch, tmp_path):
    AttnScaleConfig(strength=2.0).save_pretrained(tmp_path)
    monkeypatch.setenv(SOURCES, str(tmp_path))
    with pytest.raises(UnsupportedModelError, match=r"this is vLLM 0\.33\.0"):
        register()


def test_a_part_of_vllm_that_is_missing_is_an_error(vllm, monkeypatch, tmp_path):
    vllm.__version__ = "0.32.0+cpu"
    AttnScaleConfig(strength=2.0).save_pretrained(tmp_path)
    monkeypatch.setenv(SOURCES, str(tmp_path))
    monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", "1")  # kept, and refused later
    with pytest.raises(ImportError):
        register()


def test_vllm_finds_it():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition(f'[project.entry-points."{GROUP}"]\n')[2]
    name, _, target = section.partition("\n")[0].partition(" = ")
    module, _, function = target.strip('"').partition(":")
    assert name == PLUGIN
    assert getattr(import_module(module), function) is register
