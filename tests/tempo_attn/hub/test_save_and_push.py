"""Pushing adapters: exactly our files, one commit, and nobody's model card is lost."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import CommitInfo, RepoUrl, errors
from transformers.utils import PushToHubMixin

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import AdapterError, ConfigError
from tempo_attn.hub.adapter_folder import CARD_NAME, CONFIG_NAME
from tempo_attn.hub.push import push
from tempo_attn.hub.save import save_adapters


class FakeHub:
    """The calls that `push` makes; `files` is what the repository then holds."""

    def __init__(self, monkeypatch, folder):
        self.calls, self.files, self.folder, self.private = [], {}, folder, None
        hub = self

        class Api:
            def __init__(self, token=None):
                hub.calls.append(("token", token))

            def create_repo(self, repo_id, *, private, exist_ok):
                hub.calls.append(("create_repo", repo_id, private, exist_ok))
                owned = repo_id if "/" in repo_id else f"me/{repo_id}"
                return RepoUrl(f"https://huggingface.co/{owned}")

            def create_branch(self, repo_id, *, branch, exist_ok):
                hub.calls.append(("create_branch", repo_id, branch, exist_ok))

            def model_info(self, repo_id, *, revision):
                files = [SimpleNamespace(rfilename=name) for name in hub.files]
                return SimpleNamespace(private=hub.private, siblings=files)

            def upload_folder(
                self,
                *,
                repo_id,
                folder_path,
                commit_message,
                commit_description,
                revision,
                create_pr,
            ):
                hub.calls.append(("upload", repo_id, commit_message, revision, create_pr))
                root = Path(folder_path)
                sent = {
                    path.relative_to(root).as_posix(): path.read_bytes()
                    for path in root.rglob("*")
                    if path.is_file()
                }
                hub.sent = sent
                hub.files |= sent
                url = f"https://huggingface.co/{repo_id}"
                return CommitInfo(
                    commit_url=f"{url}/commit/abc",
                    commit_message=commit_message,
                    commit_description="",
                    oid="abc",
                    pr_url=f"{url}/discussions/1" if create_pr else None,
                )

        monkeypatch.setattr(huggingface_hub, "HfApi", Api)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", self.download)

    def download(self, repo_id, filename, *, revision, token):
        if filename not in self.files:
            raise errors.EntryNotFoundError("no such file")
        path = self.folder / filename
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.files[filename])
        return str(path)


@pytest.fixture
def hub(monkeypatch, tmp_path_factory):
    return FakeHub(monkeypatch, tmp_path_factory.mktemp("hub"))


@pytest.fixture
def config():
    return AttnScaleConfig(strength=2.0, layers=[20])


def test_a_folder_sends_exactly_our_files(config, hub, tmp_path):
    save_adapters(tmp_path, {"default": config, "mata": AttnScaleConfig.mata()})
    (tmp_path / "secrets.txt").write_text("mine")
    (tmp_path / "mata" / "results.json").write_text("{}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "clip.wav").write_text("x")
    url = push(tmp_path, "me/adapter", private=True, token="t", commit_message="First")
    assert url == "https://huggingface.co/me/adapter/commit/abc"
    assert hub.calls == [
        ("token", "t"),
        ("create_repo", "me/adapter", True, True),
        ("upload", "me/adapter", "First", None, False),
    ]
    assert sorted(hub.sent) == [CARD_NAME, CONFIG_NAME, f"mata/{CONFIG_NAME}"]
    assert hub.sent[CONFIG_NAME] == (tmp_path / CONFIG_NAME).read_bytes()
    assert b'from_pretrained(base, "me/adapter")' in hub.sent[CARD_NAME]


def test_configurations_without_a_folder(config, hub, tmp_path):
    url = push({"default": config, "b": config}, "adapter", revision="dev", create_pr=True)
    assert url == "https://huggingface.co/me/adapter/discussions/1"
    assert ("create_branch", "me/adapter", "dev", True) in hub.calls
    assert set(hub.sent) == {CARD_NAME, CONFIG_NAME, f"b/{CONFIG_NAME}"}
    push(config, "me/adapter", revision="refs/pr/1")
    assert [call[0] for call in hub.calls].count("create_branch") == 1
    # What was sent can be loaded.
    path = tmp_path / CONFIG_NAME
    path.write_bytes(hub.sent[CONFIG_NAME])
    assert AttnScaleConfig.from_pretrained(path).fingerprint() == config.fingerprint()


def test_fields_of_a_newer_version_are_not_lost(hub, tmp_path):
    newer = b'{"strength": 2.0, "sink": "kept", "tempo_version": "9.9"}'
    (tmp_path / CONFIG_NAME).write_bytes(newer)
    with pytest.warns(UserWarning, match="sink"):
        push(tmp_path, "me/adapter")
    assert hub.sent[CONFIG_NAME] == newer


def test_no_path_of_this_machine_is_sent(hub, tmp_path):
    """Neither from a configuration nor from a folder that an older version wrote."""
    text = AttnScaleConfig(strength=2.0, base_model_name_or_path="../models/x").to_json()
    (tmp_path / CONFIG_NAME).write_text(text.replace("{", '{"sink": 1,', 1))
    with pytest.warns(UserWarning, match="sink"):
        push(tmp_path, "me/adapter")
    assert b'"base_model_name_or_path": "x"' in hub.sent[CONFIG_NAME]
    assert b'"sink": 1' in hub.sent[CONFIG_NAME]
    push(AttnScaleConfig(strength=2.0, base_model_name_or_path="~/models/x"), "me/adapter")
    for data in hub.sent.values():
        assert b"models/x" not in data


def test_model_cards_of_others_are_kept(config, hub, tmp_path):
    push(config, "me/adapter")
    push(AttnScaleConfig(strength=3.0), "me/adapter")
    assert b"| 3.0 |" in hub.files[CARD_NAME]  # ours is renewed
    hub.files[CARD_NAME] = b"# By hand"
    push(config, "me/adapter")
    assert sorted(hub.sent) == [CONFIG_NAME]
    # A card by hand in the folder is meant to go up.
    config.save_pretrained(tmp_path)
    (tmp_path / CARD_NAME).write_text("# By hand, newer")
    push(tmp_path, "me/adapter")
    assert hub.files[CARD_NAME] == b"# By hand, newer"


def test_adapters_that_are_there_stay_in_the_card(config, hub):
    """The card of one that is pushed later once told of that one alone."""
    config.push_to_hub("me/adapter")
    hub.files["broken/attn_scale_config.json"] = b"{"
    hub.files["deep/er/attn_scale_config.json"] = hub.files["data.bin"] = b"\xff"
    AttnScaleConfig.mata().push_to_hub("me/adapter", adapter_name="mata")
    assert sorted(hub.sent) == [CARD_NAME, f"mata/{CONFIG_NAME}"]
    card = hub.sent[CARD_NAME].decode()
    assert card.index("| default | scale | 2.0 |") < card.index("| mata | scale | 1.1 |")
    AttnScaleConfig(strength=3.0).push_to_hub("me/adapter")
    card = hub.sent[CARD_NAME].decode()
    assert card.index("| default | scale | 3.0 |") < card.index("| mata | scale | 1.1 |")


def test_it_is_called_as_transformers_models_are():
    theirs = inspect.signature(PushToHubMixin.push_to_hub).parameters
    mine = inspect.signature(AttnScaleConfig.push_to_hub).parameters
    ours = {name: parameter for name, parameter in mine.items() if name != "adapter_name"}
    # What they have beside these is about weights and tags.
    assert set(theirs) - set(ours) == {"max_shard_size", "tags"}
    for name, parameter in ours.items():
        assert (parameter.kind, parameter.default) == (theirs[name].kind, theirs[name].default)


def test_what_is_public_does_not_count_as_private(config, hub):
    """The Hub takes `private` for new repositories only, and says nothing about the others."""
    hub.private = False
    with pytest.raises(ConfigError, match="me/adapter: the repository is there and public"):
        config.push_to_hub("me/adapter", private=True)
    assert "upload" not in [call[0] for call in hub.calls]
    config.push_to_hub("me/adapter")
    hub.private = True
    config.push_to_hub("me/adapter", private=True)


def test_chosen_adapters_of_a_folder(config, hub, tmp_path):
    save_adapters(tmp_path, {"default": config, "mata": AttnScaleConfig.mata(), "b": config})
    push(tmp_path, "me/adapter", adapters=["mata"])
    assert sorted(hub.sent) == [CARD_NAME, f"mata/{CONFIG_NAME}"]
    with pytest.raises(AdapterError, match="no adapter 'mate'; there are default, b, mata"):
        push(tmp_path, "me/adapter", adapters=["mate"])


def test_a_card_that_cannot_be_looked_at_is_not_overwritten(config, hub, monkeypatch):
    def unreachable(*args, **kwargs):
        raise errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(ConfigError, match="out of reach"):
        push(config, "me/adapter")
    assert "upload" not in [call[0] for call in hub.calls]


def test_nothing_wrong_reaches_the_hub(config, hub, tmp_path):
    with pytest.raises(ConfigError, match="no such folder; save the adapters there first"):
        push(tmp_path / "none", "me/adapter")
    with pytest.raises(ConfigError, match=r"no such file; the folder .* has no files"):
        push(tmp_path, "me/adapter")
    (tmp_path / CONFIG_NAME).write_text('{"strength": -2}')
    with pytest.raises(ConfigError, match=r"attn_scale_config\.json: strength is -2\.0"):
        push(tmp_path, "me/adapter")
    with pytest.raises(AdapterError, match="adapter name"):
        push({"../up": config}, "me/adapter")
    assert hub.calls == []


def test_offline(config, monkeypatch):
    """With the Hub's real client."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="me/adapter: the Hub is out of reach"):
        push(config, "me/adapter")
    with pytest.raises(ConfigError, match="expected 'owner/name'"):
        push(config, "me/adapter/deeper")
