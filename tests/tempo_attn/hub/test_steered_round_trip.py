"""A steering edit lies in two files that are saved, pushed and loaded together."""

import json

import pytest

from tempo_attn.config import AttnScaleConfig
from tempo_attn.directions import DIRECTIONS_NAME, Directions
from tempo_attn.errors import AdapterError, ConfigError
from tempo_attn.hub import find_config as finding
from tempo_attn.hub.adapter_folder import CARD_NAME, CONFIG_NAME
from tempo_attn.hub.push import push
from tempo_attn.hub.save import save_adapters
from tests.support.steered_by_hand import directions, steer
from tests.tempo_attn.hub.test_save_and_push import FakeHub


@pytest.fixture
def hub(monkeypatch, tmp_path_factory):
    return FakeHub(monkeypatch, tmp_path_factory.mktemp("hub"))


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_saved_and_loaded(tmp_path):
    config = steer(layers=[2, 3], queries="option")
    config.save_pretrained(tmp_path)
    assert files(tmp_path) == [CARD_NAME, CONFIG_NAME, DIRECTIONS_NAME]
    assert (tmp_path / DIRECTIONS_NAME).read_bytes() == config.directions.data
    text = json.loads((tmp_path / CONFIG_NAME).read_text())
    assert text["directions"] == config.directions.sha256
    for place in (tmp_path, tmp_path / CONFIG_NAME):
        loaded = AttnScaleConfig.from_pretrained(place)
        assert loaded.fingerprint() == config.fingerprint()
        assert loaded.directions.data == config.directions.data
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    loaded.save_pretrained(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_adapters_side_by_side(tmp_path):
    other = steer(directions=directions(seed=5))
    save_adapters(tmp_path, {"default": steer(), "other": other, "loud": AttnScaleConfig.mata()})
    assert f"other/{DIRECTIONS_NAME}" in files(tmp_path)
    assert f"loud/{DIRECTIONS_NAME}" not in files(tmp_path)
    assert AttnScaleConfig.from_pretrained(tmp_path, subfolder="other").directions == (
        other.directions
    )
    assert AttnScaleConfig.from_pretrained(tmp_path).directions == steer().directions


def test_another_edit_in_its_place_leaves_no_directions(tmp_path):
    steer().save_pretrained(tmp_path)
    AttnScaleConfig(strength=2.0).save_pretrained(tmp_path)
    assert files(tmp_path) == [CARD_NAME, CONFIG_NAME]


def test_a_hash_alone_cannot_be_saved(tmp_path, hub):
    named = AttnScaleConfig.from_json(steer().to_json())
    with pytest.raises(ConfigError, match="not loaded"):
        named.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ConfigError, match="not loaded"):
        push(named, "me/adapter")
    assert hub.calls == []


def truncate(path):
    path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file, and attn_scale_config.json needs it"),
        (truncate, "its SHA-256 is .* cut short"),
        (lambda path: path.write_bytes(directions(seed=8).data), "its SHA-256 is"),
        (lambda path: path.write_bytes(b""), "its SHA-256 is"),
        (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
    ],
    ids=["missing", "truncated", "another", "empty", "a folder"],
)
def test_a_wrong_file_is_refused(tmp_path, hub, damage, message):
    steer().save_pretrained(tmp_path)
    damage(tmp_path / DIRECTIONS_NAME)
    with pytest.raises(ConfigError, match=message):
        AttnScaleConfig.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=message):
        push(tmp_path, "me/adapter")
    assert hub.calls == []


def test_hostile_bytes_with_their_own_hash_are_refused(tmp_path):
    """The hash says that the two belong together, and not that they are any good."""
    import hashlib

    steer().save_pretrained(tmp_path)
    evil = b"\x80\x04\x95" + b"cos\nsystem\n"  # the beginning of a pickle
    (tmp_path / DIRECTIONS_NAME).write_bytes(evil)
    path = tmp_path / CONFIG_NAME
    values = json.loads(path.read_text()) | {"directions": hashlib.sha256(evil).hexdigest()}
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="no safetensors file"):
        AttnScaleConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("named", ["../evil.safetensors", "/etc/passwd", "x" * 64, 3, [], {}])
def test_a_configuration_cannot_name_another_file(tmp_path, named):
    steer().save_pretrained(tmp_path)
    path = tmp_path / CONFIG_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"directions": named}))
    with pytest.raises(ConfigError, match="expected the SHA-256 of"):
        AttnScaleConfig.from_pretrained(tmp_path)


def test_layers_without_a_direction_are_found_when_the_file_is_read(tmp_path):
    steer(directions=directions([3, 4])).save_pretrained(tmp_path)
    path = tmp_path / CONFIG_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layers": [5]}))
    with pytest.raises(ConfigError, match="layer 5 is steered and has no direction"):
        AttnScaleConfig.from_pretrained(tmp_path)


def test_a_save_that_fails_leaves_the_old_edit_whole(tmp_path, monkeypatch):
    steer().save_pretrained(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    monkeypatch.setattr("tempo_attn.hub.save.card_of", lambda configs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        steer(directions=directions(seed=2)).save_pretrained(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


# ---------------------------------------------------------------------- the Hub


def test_pushed_and_loaded_again(tmp_path, hub, monkeypatch):
    config = steer(queries="option")
    push({"default": config, "b": steer(directions=directions(seed=3))}, "me/adapter")
    assert sorted(hub.sent) == [
        CARD_NAME,
        CONFIG_NAME,
        DIRECTIONS_NAME,
        f"b/{CONFIG_NAME}",
        f"b/{DIRECTIONS_NAME}",
    ]
    assert hub.sent[DIRECTIONS_NAME] == config.directions.data
    asked = []

    def download(repo_id, filename, *, subfolder=None, **how):
        asked.append((repo_id, subfolder, filename, how["revision"]))
        return hub.download(
            repo_id, f"{subfolder}/{filename}" if subfolder else filename, revision=None, token=None
        )

    monkeypatch.setattr(finding.huggingface_hub, "hf_hub_download", download)
    loaded = AttnScaleConfig.from_pretrained("me/adapter", revision="v1")
    assert loaded.fingerprint() == config.fingerprint()
    assert loaded.directions.data == config.directions.data
    assert asked == [
        ("me/adapter", None, CONFIG_NAME, "v1"),
        ("me/adapter", None, DIRECTIONS_NAME, "v1"),
    ]
    other = AttnScaleConfig.from_pretrained("me/adapter", subfolder="b")
    assert other.directions == directions(seed=3)
    del hub.files[DIRECTIONS_NAME]
    with pytest.raises(ConfigError, match=f"has no {DIRECTIONS_NAME} at this place"):
        AttnScaleConfig.from_pretrained("me/adapter")


def test_a_folder_sends_the_bytes_it_has(tmp_path, hub):
    steer().save_pretrained(tmp_path)
    (tmp_path / "other.safetensors").write_bytes(b"mine")
    push(tmp_path, "me/adapter")
    assert sorted(hub.sent) == [CARD_NAME, CONFIG_NAME, DIRECTIONS_NAME]
    assert Directions.from_bytes(hub.sent[DIRECTIONS_NAME], "sent") == steer().directions


def test_the_card_tells_of_steering_that_was_there_before(hub):
    push({"steered": steer()}, "me/adapter")
    push(AttnScaleConfig(strength=2.0), "me/adapter")
    card = hub.sent[CARD_NAME].decode()
    assert "| steered | steer |" in card


def test_no_adapter_is_called_as_the_file(tmp_path):
    with pytest.raises(AdapterError, match="cannot be used"):
        save_adapters(tmp_path, {DIRECTIONS_NAME: steer()})
