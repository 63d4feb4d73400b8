"""Saving, finding and pushing configurations; the Hub is replaced by functions of its client."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import AdapterError, ConfigError
from tempo_attn.hub.adapter_folder import CARD_NAME, CONFIG_NAME, adapter_files
from tempo_attn.hub.config_file import library_version
from tempo_attn.hub.find_config import find_config
from tempo_attn.hub.model_names import is_repo_id, loaded_name, shared_name
from tempo_attn.hub.save import save_adapters


@pytest.fixture
def config():
    return AttnScaleConfig(strength=2.0, layers=[20], queries="keyword+last", heads={20: [3]})


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------------- folders and files


def test_saved_and_loaded_again(config, tmp_path):
    config.save_pretrained(tmp_path / "new" / "folder")
    loaded = AttnScaleConfig.from_pretrained(str(tmp_path / "new" / "folder"))
    assert loaded.tempo_version == library_version() != "unknown"
    assert config.tempo_version is None
    loaded.tempo_version = None
    assert loaded == config
    assert AttnScaleConfig.from_pretrained(tmp_path / "new" / "folder" / CONFIG_NAME).layers == [20]
    text = (tmp_path / "new" / "folder" / CONFIG_NAME).read_text()
    assert text.endswith("}\n")
    assert json.loads(text)["heads"] == {"20": [3]}


def test_adapters_by_name(config, tmp_path):
    mata = AttnScaleConfig.mata()
    written = save_adapters(
        tmp_path, {"default": config, "mata": mata}, base_model="o/m", revision="abc"
    )
    assert listing(tmp_path) == ["README.md", CONFIG_NAME, f"mata/{CONFIG_NAME}"]
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert list(adapter_files(tmp_path)) == ["default", "mata"]
    loaded = AttnScaleConfig.from_pretrained(tmp_path, subfolder="mata")
    assert (loaded.base_model_name_or_path, loaded.revision) == ("o/m", "abc")
    assert loaded.fingerprint() == mata.fingerprint()


def test_a_stated_base_model_is_kept(tmp_path):
    save_adapters(
        tmp_path, {"default": AttnScaleConfig.paper("desta2.5")}, base_model="o/m", revision="abc"
    )
    loaded = AttnScaleConfig.from_pretrained(tmp_path)
    assert loaded.base_model_name_or_path == "DeSTA-ntu/DeSTA2.5-Audio-Llama-3.1-8B"
    assert loaded.revision is None  # the revision was another model's


def test_a_later_adapter_joins_the_card(config, tmp_path):
    config.save_pretrained(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / CONFIG_NAME).write_text("{")
    save_adapters(tmp_path, {"mata": AttnScaleConfig.mata()})
    card = (tmp_path / CARD_NAME).read_text()
    assert card.index("| default | scale | 2.0 |") < card.index("| mata | scale | 1.1 |")
    assert "broken" not in card
    save_adapters(tmp_path / "b", {"mata": AttnScaleConfig.mata()})
    config.save_pretrained(tmp_path / "b")
    assert (tmp_path / "b" / CARD_NAME).read_text() == card


def test_only_our_own_card_is_replaced(config, tmp_path):
    config.save_pretrained(tmp_path)
    card = tmp_path / CARD_NAME
    AttnScaleConfig(strength=3.0).save_pretrained(tmp_path)
    assert "| 3.0 |" in card.read_text()
    claimed = "\n".join(line for line in card.read_text().split("\n") if "<!--" not in line)
    for theirs in ("# By hand\n", "---\nlibrary_name: tempo-lalm\n---\nby hand", claimed, "\xff"):
        card.write_bytes(theirs.encode("latin-1", "ignore"))
        before = card.read_bytes()
        assert card not in save_adapters(tmp_path, {"default": config})
        assert card.read_bytes() == before


@pytest.mark.parametrize("fails", ["replace", "write"])
def test_a_failed_save_leaves_the_old_files(config, fails, tmp_path, monkeypatch):
    config.save_pretrained(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)}

    def full(path, data):
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    def refuse(*args):
        raise OSError(5, "Input/output error")

    if fails == "write":
        monkeypatch.setattr(Path, "write_bytes", full)
    else:
        monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=r"No space|Input/output"):
        save_adapters(tmp_path, {"default": AttnScaleConfig(strength=9.0)})
    monkeypatch.undo()
    assert {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)} == before


def test_what_cannot_be_saved_writes_nothing(config, tmp_path):
    spoilt = AttnScaleConfig(strength=2.0)
    spoilt.strength = -1.0
    large = AttnScaleConfig(strength=2.0, provenance={"log": "x" * 2**20})
    for configs, error, message in [
        ({}, AdapterError, "no adapter to save"),
        ({"default": config, "../up": config}, AdapterError, "adapter name '../up'"),
        ({"default": config, "readme.md": config}, AdapterError, "the name of a file"),
        ({"Loud": config, "loud": config}, AdapterError, "differ in case only"),
        ({"default": config, "b": {"strength": 2}}, ConfigError, "adapter 'b' is a dict"),
        ({"default": config, "b": spoilt}, ConfigError, r"strength is -1\.0"),
        ({"default": config, "b": large}, ConfigError, "adapter 'b': 1,04.* expected at most"),
    ]:
        with pytest.raises(error, match=message):
            save_adapters(tmp_path, configs)
    assert listing(tmp_path) == []


def test_a_file_where_a_folder_belongs(config, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(ConfigError, match="a file is in the way"):
            config.save_pretrained(folder)
    with pytest.raises(ConfigError, match="a file is in the way"):
        save_adapters(tmp_path, {"file": config})
    assert listing(tmp_path) == ["file"]


def test_a_folder_without_the_file_lists_what_it_has(config, tmp_path):
    save_adapters(tmp_path, {"mata": config})
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError) as caught:
        AttnScaleConfig.from_pretrained(tmp_path)
    message = str(caught.value)
    assert "has README.md, adapter_config.json, mata/. Expected attn_scale_config.json" in message
    assert "Adapters in it: mata; pass subfolder=" in message
    with pytest.raises(ConfigError, match="a file has no subfolder"):
        find_config(tmp_path / "adapter_config.json", subfolder="mata")


# ---------------------------------------------------------------------- what leaves the machine

PATHS = {
    "../models/x": "x",
    "./x": "x",
    "/home/ann/models/x/": "x",
    "~/models/x": "x",
    "~ann/x": "x",
    "~": "a folder",
    "/": "a folder",
    "a/b/x": "x",
    "C:\\models\\x": "x",
    "C:x": "x",
    "..\\models\\x": "x",
    "\\\\server\\share\\x": "x",
    "/cache/hub/models--o--m/snapshots/0123abcd": "o/m",
    "o/m": "o/m",
    "x": "x",
}


@pytest.mark.parametrize(("path", "name"), PATHS.items())
def test_of_a_base_model_the_name_alone_is_shared(path, name, tmp_path):
    """In the file and everywhere in the card; what was already in the folder is no exception."""
    assert shared_name(path) == name
    config = AttnScaleConfig(strength=2.0, base_model_name_or_path=path)
    assert config.base_model_name_or_path == path  # here, it may be needed
    config.save_pretrained(tmp_path / "given")
    save_adapters(tmp_path / "beside", {"b": AttnScaleConfig(strength=1.5)}, base_model=path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / CONFIG_NAME).write_text(config.to_json())
    save_adapters(tmp_path / "old", {"b": AttnScaleConfig(strength=1.5)})
    for folder, file in (("given", CONFIG_NAME), ("beside", f"b/{CONFIG_NAME}")):
        assert json.loads((tmp_path / folder / file).read_text())["base_model_name_or_path"] == name
    for folder in ("given", "beside", "old"):
        card = (tmp_path / folder / CARD_NAME).read_text()
        assert name == path or len(path) == 1 or path not in card
        assert ("base_model: o/m" in card) == (name == "o/m")


def test_names_without_a_name_are_the_folders(tmp_path, monkeypatch):
    (tmp_path / "models" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "models" / "x")
    assert (shared_name("."), shared_name(".."), shared_name("../..")) == (
        "x",
        "models",
        tmp_path.name,
    )
    monkeypatch.chdir(tmp_path)
    # It looks like a repository; but a folder that is there is what was loaded.
    assert (shared_name("models/x"), loaded_name("models/x")) == ("models/x", "x")
    assert loaded_name("models/y") == "models/y"


# ---------------------------------------------------------------------- loading from the Hub


def no_hub(*args, **kwargs):
    raise AssertionError("the Hub was asked")


@pytest.mark.parametrize(
    "path",
    [
        *("./adapter", "../o/m", "/o/m", "~/o/m", "a/b/c", "adapter.json", "o/m/", "a\\b", "C:/x"),
        Path("o/m"),
    ],
)
def test_a_missing_path_is_not_asked_of_the_hub(path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_hub)
    with pytest.raises(ConfigError, match=r"no such folder or file\. Expected a folder with"):
        AttnScaleConfig.from_pretrained(path)


@pytest.mark.parametrize("path", ["", "  ", "o/m\0", b"o/m"])
def test_names_that_are_no_names(path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_hub)
    with pytest.raises(ConfigError, match="expected the name of a folder"):
        AttnScaleConfig.from_pretrained(path)


def test_one_file_is_downloaded(config, tmp_path, monkeypatch):
    config.save_pretrained(tmp_path)
    asked = []

    def download(*args, **kwargs):
        asked.append((args, kwargs))
        return str(tmp_path / CONFIG_NAME)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    loaded = AttnScaleConfig.from_pretrained(
        "owner/adapter", revision="v1", token="t", cache_dir=tmp_path, subfolder="loud"
    )
    assert loaded.fingerprint() == config.fingerprint()
    assert asked == [
        (
            ("owner/adapter", CONFIG_NAME),
            {
                "subfolder": "loud",
                "revision": "v1",
                "token": "t",
                "cache_dir": str(tmp_path),
                "local_files_only": False,
            },
        )
    ]


def http_error(kind):
    return kind("the server's words", response=SimpleNamespace(headers={}, request=None))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (http_error(errors.GatedRepoError), "a gated repository .* Accept its terms at"),
        (http_error(errors.RepositoryNotFoundError), "no such folder or file here; the Hub has no"),
        (http_error(errors.DisabledRepoError), "the Hub has no such repository"),
        (http_error(errors.RevisionNotFoundError), "has no such revision"),
        (http_error(errors.RemoteEntryNotFoundError), f"the repository has no {CONFIG_NAME}"),
        (errors.LocalEntryNotFoundError("offline"), "the Hub is out of reach"),
        (errors.OfflineModeIsEnabled("offline"), "the Hub is out of reach"),
        (errors.HFValidationError("bad"), "not a repository's name; expected 'owner/name'"),
        (errors.HTTPError("no route"), "the connection to the Hub failed: no route"),
        (http_error(errors.HfHubHTTPError), "refused the request: the server's words"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_hubs_errors_say_what_to_do(error, message, monkeypatch):
    def download(*args, **kwargs):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(ConfigError, match=message) as caught:
        AttnScaleConfig.from_pretrained("owner/adapter")
    assert "owner/adapter" in str(caught.value)
    assert caught.value.__cause__ is error


def test_an_uncached_repository_offline(tmp_path, monkeypatch):
    """With the Hub's real client."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for options in ({}, {"local_files_only": True}):
        with pytest.raises(ConfigError, match=r"owner/none: .* the Hub is out of reach"):
            AttnScaleConfig.from_pretrained("owner/none", cache_dir=tmp_path, **options)
    with pytest.raises(ConfigError, match="not a repository's name"):
        AttnScaleConfig.from_pretrained("owner/no name", cache_dir=tmp_path)


def test_repository_names():
    assert all(map(is_repo_id, ["o/m", "nvidia/audio-flamingo-3-hf", "a_b/c.d-e_f"]))
    bad = [
        "m",
        "../../etc/passwd",
        "../m",
        "/o/m",
        "o/m\n",
        "o/..",
        "o/a--b",
        "o/m.git",
        "o/m.",
        "",
    ]
    assert not any(map(is_repo_id, bad))
