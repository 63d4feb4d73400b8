"""The commands as a user types them."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml
from huggingface_hub.errors import RepositoryNotFoundError
from typer.testing import CliRunner

from tempo_attn.errors import OptionError
from tempo_tasks.data import fetch as downloading
from tempo_tasks.data.citations import ENTRIES, SOFTWARE_AUTHORS, SOFTWARE_TITLE, bibtex
from tempo_tasks.data.commands import app
from tempo_tasks.data.commands import build as build_command
from tempo_tasks.errors import (
    BuildMismatchError,
    DownloadError,
)
from tempo_tasks.sources import tacos
from tempo_tasks.sources.hub import RELEASED_ALIAS, RELEASED_REPO
from tests.support.fake_tacos import make_tacos, write_intervals
from tests.support.paths import ROOT


def invoke(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("../ann/i.csv", "i.csv"),
        ("~/ann/i.csv", "i.csv"),
        ("C:\\Users\\ann\\i.csv", "i.csv"),
        ("--audio=..\\ann\\clips", "--audio=clips"),
        ("ann/clips", "clips"),
        ("..", "build"),
        ("eo,lo", "eo,lo"),
        ("--margin=0.5", "--margin=0.5"),
    ],
)
def test_a_manifests_command_names_no_folders(word, shown, tmp_path, monkeypatch):
    (tmp_path / "build" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "build" / "here")
    monkeypatch.setattr(sys, "argv", ["tempo", "data", "build", word])
    assert build_command.command_typed() == f"tempo data build {shown}"


@pytest.fixture
def intervals(tmp_path):
    return write_intervals(tmp_path / "i.csv")


def test_build_prints_its_counts_and_writes_them(intervals, tmp_path, monkeypatch):
    command = ["build", "--out", tmp_path / "out", "--intervals", intervals, "--margin", 1, "-q"]
    monkeypatch.setattr(sys, "argv", ["tempo", "data", *map(str, command), f"--split={tmp_path}/x"])
    printed = invoke(*command)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    count = manifest["kinds"]["eo"]
    assert re.search(rf"eo\s+│\s+{count['questions']}\s+│\s+{count['clips']}", printed)
    assert " / ".join(str(n) for n in count["letters"].values()) in printed
    assert " / ".join(str(n) for n in count["in_clip"].values()) in printed
    assert manifest["fingerprint"] in printed
    assert "No audio" in printed
    # A manifest is shared: it names no folder of this machine.
    assert str(tmp_path) not in json.dumps(manifest)
    assert manifest["command"].startswith("tempo data build --out out --intervals i.csv")
    assert manifest["command"].endswith("--split=x")
    assert "complete already" in invoke(*command)


def test_every_option_reaches_the_build(tmp_path, monkeypatch):
    monkeypatch.setattr(tacos, "FILES", make_tacos(tmp_path / "tacos"))
    words = ["--tacos", tmp_path / "tacos", "--intervals", write_intervals(tmp_path / "i.csv")]
    words += ["--split", "test", "--kinds", "ld, eo", "--size", 3, "--seed", 9, "--margin", 1.5]
    words += ["--min-events", 3, "--min-present", 2, "--per-clip", 2, "--repair", "--json", "-q"]
    printed = json.loads(invoke("build", "--out", tmp_path / "out", *words))
    spec = printed["spec"]
    assert {key: spec[key] for key in spec if key not in ("sources", "margin")} == {
        "kinds": ["eo", "ld"],
        "seed": 9,
        "size": 3,
        "min_events": 3,
        "min_present": 2,
        "per_clip": 2,
        "hard": False,
        "repair": True,
        "split": "test_split.csv",
        "labels": "classes",
        "audio": "archive",
    }
    assert spec["margin"] == {"eo": 1.5, "ld": 1.5}
    assert set(spec["sources"]) == {"intervals", "captions", "metadata", "split", "audio"}
    assert printed["complete_before"] is False


def test_the_default_margins_are_the_released_ones(intervals, tmp_path):
    words = ["--intervals", intervals, "--json", "--kinds", "eo,ld"]
    spec = json.loads(invoke("build", "--out", tmp_path / "out", *words))["spec"]
    assert spec["margin"] == {"eo": 1.0, "ld": 3.0}


def test_an_unknown_kind(intervals, tmp_path):
    with pytest.raises(OptionError, match="no kind middle; expected eo, lo, ld"):
        invoke("build", "--out", tmp_path / "out", "--intervals", intervals, "--kinds", "eo,middle")


def test_info_verifies_and_says_so_by_its_exit_status(intervals, tmp_path):
    out = tmp_path / "out"
    invoke("build", "--out", out, "--intervals", intervals, "--margin", 1)
    assert "Verified" in invoke("info", out, "--verify")
    (out / "intervals.csv").write_text("nothing")
    printed = invoke("info", out, "--verify", status=1)
    assert "intervals.csv: not what was written" in printed
    assert "1 problems" in printed
    found = json.loads(invoke("info", out, "--verify", "--json", status=1))
    assert found["from"] == "manifest"
    assert len(found["problems"]) == 1
    assert "problems" not in json.loads(invoke("info", out, "--json"))


def test_repairs_are_shown(intervals, tmp_path):
    with intervals.open("a") as file:
        file.write("1000.wav,Trumpet,[5-4]\n")
    printed = invoke("build", "--out", tmp_path / "out", "--intervals", intervals, "--repair")
    assert re.search(r"repairs: 1, .*\n  i\.csv, row \d+, 1000\.wav: interval 5-4", printed)


def test_download_of_tacos(tmp_path, monkeypatch):
    asked = {}

    def fetch(folder, *, audio, progress):
        asked.update(folder=folder, audio=audio, progress=progress)
        return {"metadata.csv": True, "test_split.csv": False}

    monkeypatch.setattr(downloading, "download_tacos", fetch)
    printed = invoke("download", "tacos", "--out", tmp_path, "--no-audio", "-q")
    assert asked == {"folder": tmp_path, "audio": False, "progress": False}
    assert "metadata.csv: fetched, checked" in printed
    assert "test_split.csv: was there, checked" in printed
    invoke("download", "tacos")
    assert asked["folder"].name == "tacos"
    assert asked["audio"] is True


class Hub:
    """A Hub with one repository; `commits` is what its branches mean."""

    def __init__(self, monkeypatch, repo):
        self.repo, self.commits, self.fetched = repo, {None: "c1", "main": "c1"}, []
        monkeypatch.setattr("huggingface_hub.HfApi", lambda: self)
        monkeypatch.setattr("huggingface_hub.snapshot_download", self.snapshot)

    def dataset_info(self, repo, revision=None):
        if repo != self.repo:
            response = SimpleNamespace(headers={}, request=None)
            raise RepositoryNotFoundError("gone", response=response)
        if revision not in self.commits:
            raise ConnectionError("no network")
        return SimpleNamespace(sha=self.commits[revision])

    def snapshot(self, repo, *, repo_type, revision, local_dir):
        self.fetched.append((repo, repo_type, revision))
        if revision == "killed":
            raise ConnectionError("reset by peer")


def record(folder):
    return json.loads((folder / "tempo_download.json").read_text())


def test_the_released_data_are_pinned(tmp_path, monkeypatch):
    hub = Hub(monkeypatch, RELEASED_REPO)
    printed = json.loads(invoke("download", "released", "--out", tmp_path, "--json"))
    assert (printed["repo"], printed["commit"]) == (RELEASED_REPO, "c1")
    hub.commits = {None: "c2", "v2": "c2"}  # the branch moves; the folder does not
    invoke("download", "released", "--out", tmp_path)
    assert hub.fetched == [(RELEASED_REPO, "dataset", "c1")] * 2
    assert record(tmp_path)["commit"] == "c1"
    with pytest.raises(BuildMismatchError, match="at c1, not at v2"):
        invoke("download", "released", "--out", tmp_path, "--revision", "v2")


def test_the_other_name_counts_where_the_first_does_not_exist(tmp_path, monkeypatch):
    hub = Hub(monkeypatch, RELEASED_ALIAS)
    assert RELEASED_ALIAS in invoke("download", "released", "--out", tmp_path)
    assert record(tmp_path)["repo"] == hub.fetched[0][0] == RELEASED_ALIAS


def test_without_a_network_the_other_name_is_not_tried(tmp_path, monkeypatch):
    hub = Hub(monkeypatch, RELEASED_REPO)
    with pytest.raises(DownloadError, match=rf"{RELEASED_REPO} cannot be downloaded .*no network"):
        invoke("download", "released", "--out", tmp_path, "--revision", "unknown")
    assert hub.fetched == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_download_goes_on_with_its_commit(tmp_path, monkeypatch):
    hub = Hub(monkeypatch, RELEASED_REPO)
    hub.commits[None] = "killed"
    with pytest.raises(DownloadError, match=r"reset by peer.*goes on with what is missing"):
        invoke("download", "released", "--out", tmp_path)
    hub.commits[None] = "c2"
    with pytest.raises(DownloadError):
        invoke("download", "released", "--out", tmp_path)
    assert [fetched[2] for fetched in hub.fetched] == ["killed", "killed"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["synth"], "no source 'synth'; expected tacos or released"),
        (["released", "--no-audio"], "hold their audio"),
        (["tacos", "--revision", "v1"], "no revisions"),
    ],
)
def test_downloads_that_cannot_be(words, message, tmp_path):
    with pytest.raises(OptionError, match=message):
        invoke("download", *words, "--out", tmp_path)


@pytest.mark.parametrize("name", ENTRIES)
def test_citations_are_bibtex(name):
    text = bibtex(name)
    entries = re.findall(r"^@(\w+)\{(\w+),\n((?:  .*\n)+)\}$", text, re.MULTILINE)
    assert len(entries) == len(ENTRIES[name])
    assert text.count("{") == text.count("}")
    for _, _, body in entries:
        assert {"title", "year"} <= set(re.findall(r"^  (\w+)\s+= \{", body, re.MULTILINE))
    assert invoke("cite", name).strip() == text


def test_what_is_cited():
    assert "2606.17417" in bibtex("released")
    assert "2505.07609" in bibtex("released")  # its clips
    assert "2606.17417" not in bibtex("tacos")
    assert "arXiv" not in bibtex("synth")
    assert "Primus" not in bibtex("synth")
    with pytest.raises(OptionError, match="nothing to cite under 'mmau'"):
        bibtex("mmau")


def test_the_software_is_cited_as_its_citation_file_says():
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (said["title"], said["authors"][0]["name"]) == (SOFTWARE_TITLE, SOFTWARE_AUTHORS)
    assert f"version = {{{said['version']}}}" in bibtex("synth")


def test_help_needs_nothing_heavy():
    code = (
        "import sys; from tempo_tasks.data.commands import app; "
        "print(sorted({'torch', 'numpy', 'requests', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr
