"""Sharing by the Hub's real client, against a stand-in on this machine, in new processes."""

import json
import os
import subprocess
import sys

import pytest

from tempo_attn.config import AttnScaleConfig
from tempo_attn.hub.adapter_folder import CONFIG_NAME
from tempo_attn.hub.save import save_adapters
from tests.support.local_hub import local_hub
from tests.support.paths import ROOT

DEFAULT = AttnScaleConfig(strength=2.0, layers=[20], base_model_name_or_path="../models/x")
LOUD = AttnScaleConfig(mode="upweight", strength=1.0, queries="last+keyword", layers=[0, -1])


@pytest.fixture
def hub():
    with local_hub() as found:
        yield found


@pytest.fixture
def new_process(hub, tmp_path):
    """Run a program or command in a new process that knows the stand-in as the Hub."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING")) and not name.lower().endswith("_proxy")
    } | {
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": hub.token,
        "HF_HOME": str(tmp_path / "hf-home"),
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
    }

    def run(*arguments, program=None, **changes):
        start = ["-c", program] if program else ["-m", "tempo_tasks"]
        done = subprocess.run(
            [sys.executable, *start, *map(str, arguments)],
            env=environment | changes,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
        )
        return done

    return run


LOAD = """
import sys
from tempo_attn.config import AttnScaleConfig
for name, revision in zip(sys.argv[2::2], sys.argv[3::2]):
    config = AttnScaleConfig.from_pretrained(
        sys.argv[1], revision=revision or None, subfolder=None if name == "default" else name
    )
    print(config.fingerprint(), config.base_model_name_or_path)
"""


def test_a_folder_is_shown_sent_and_loaded_elsewhere(hub, new_process, tmp_path):
    """`tempo push`, dry and with --yes, with a branch; then loading by another process."""
    save_adapters(tmp_path / "edit", {"default": DEFAULT, "loud": LOUD})
    (tmp_path / "edit" / "choice.json").write_text("{}")  # as `tempo choose` leaves it beside
    (tmp_path / "edit" / "sweep").mkdir()
    command = ["push", "edit", "me/edit", "--private", "--revision", "v1"]
    shown = new_process(*command)
    assert shown.returncode == 0, shown.stderr
    assert hub.requests == []  # nothing is even asked
    for text in (CONFIG_NAME, f"loud/{CONFIG_NAME}", "README.md", "scale 2.0, layers 20", "for x"):
        assert text in shown.stdout
    assert "Stays here: choice.json, sweep" in shown.stdout
    assert "Nothing was sent" in shown.stdout
    assert f"{hub.endpoint}/me/edit, v1, private" in shown.stdout

    sent = new_process(*command, "--yes", "--message", "First")
    assert sent.returncode == 0, sent.stderr
    assert f"Sent: {hub.endpoint}/me/edit/commit/" in sent.stdout
    (repository,) = hub.repositories.values()
    assert repository.private
    assert repository.branches["main"] == {}
    files = [CONFIG_NAME, "README.md", f"loud/{CONFIG_NAME}"]
    assert sorted(repository.branches["v1"]) == sorted(files)
    assert repository.commits[0]["summary"] == "First"
    # What was shown is what was sent.
    for name, data in repository.branches["v1"].items():
        assert f"{name:{len(max(files, key=len))}}  {len(data):7,} bytes" in shown.stdout
    assert "models/x" not in repository.branches["v1"]["README.md"].decode()
    assert b'from_pretrained(base, "me/edit")' in repository.branches["v1"]["README.md"]

    loaded = new_process("me/edit", "default", "v1", "loud", "v1", program=LOAD)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split("\n")[:2] == [
        f"{DEFAULT.fingerprint()} x",
        f"{LOUD.fingerprint()} None",
    ]


PUSH = """
import sys
from tempo_attn.config import AttnScaleConfig
config = AttnScaleConfig(strength=float(sys.argv[1]), layers=[3])
print(config.push_to_hub("me/edit", adapter_name=sys.argv[2], commit_description="Why",
                         create_pr=len(sys.argv) > 3))
"""


@pytest.mark.slow
def test_a_configuration_is_pushed_and_another_joins_it(hub, new_process):
    for strength, name in ((2.0, "default"), (3.0, "loud"), (2.5, "default")):
        pushed = new_process(strength, name, program=PUSH)
        assert pushed.returncode == 0, pushed.stderr
        assert pushed.stdout.startswith(f"{hub.endpoint}/me/edit/commit/")
    repository = hub.repositories["me/edit"]
    assert not repository.private
    assert [commit["description"] for commit in repository.commits] == ["Why"] * 3
    card = repository.branches["main"]["README.md"].decode()
    assert card.index("| default | scale | 2.5 |") < card.index("| loud | scale | 3.0 |")
    config = json.loads(repository.branches["main"][f"loud/{CONFIG_NAME}"])
    assert (config["strength"], config["layers"]) == (3.0, [3])
    loaded = new_process("me/edit", "default", "", "loud", "", program=LOAD)
    assert loaded.stdout.count("None") == 2, loaded.stderr
    proposed = new_process(4.0, "default", "pr", program=PUSH)
    assert proposed.stdout == f"{hub.endpoint}/me/edit/discussions/1\n"
    assert json.loads(repository.branches["main"][CONFIG_NAME])["strength"] == 2.5


@pytest.mark.slow
def test_what_the_hub_refuses_is_one_message(hub, new_process, tmp_path):
    save_adapters(tmp_path / "edit", {"default": DEFAULT})
    refused = new_process("push", "edit", "me/edit", "--yes", HF_TOKEN="hf_wrong")
    assert refused.returncode == 2
    assert "ConfigError: me/edit: " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert hub.repositories == {}
    assert new_process("push", "edit", "me/edit", "--yes").returncode == 0
    public = new_process("push", "edit", "me/edit", "--yes", "--private")
    assert public.returncode == 2
    assert "is there and public" in public.stderr
    assert len(hub.repositories["me/edit"].commits) == 1
