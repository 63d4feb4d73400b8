"""`tempo data info`: the manifest, or counts from the rows; and what `--verify` finds."""

import json
import shutil

import pytest

from tempo_tasks.data.build.request import Request
from tempo_tasks.data.build.run import build
from tempo_tasks.data.facts import look_into
from tempo_tasks.errors import DataUnavailableError, DataVersionError
from tempo_tasks.sources import without_audio
from tests.support.fake_tacos import write_csv, write_intervals


@pytest.fixture
def built(tmp_path):
    captions = write_csv(tmp_path / "c.csv", ["filename", "text"], [["1001.wav", "A bird."]])
    request = Request(
        intervals=(write_intervals(tmp_path / "i.csv"),), captions=captions, margin=1.0, per_clip=2
    )
    build(request, tmp_path / "out")
    return tmp_path / "out"


def test_a_built_folder_is_known_by_its_manifest(built):
    found = look_into(str(built))
    assert found.origin == "manifest"
    assert found.facts == json.loads((built / "manifest.json").read_text())
    assert found.problems is None


def test_without_a_manifest_the_rows_give_the_same_counts_and_fingerprint(built):
    manifest = json.loads((built / "manifest.json").read_text())
    (built / "manifest.json").unlink()
    counted = look_into(str(built))
    assert counted.origin == "rows"
    for fact in ("kinds", "clips", "questions", "fingerprint", "captions"):
        assert counted.facts[fact] == manifest[fact], fact
    assert manifest["captions"] == 1
    assert counted.facts["intervals"] == manifest["clips"]


def test_without_intervals_nobody_knows_which_options_occur(built):
    (built / "manifest.json").unlink()
    (built / "intervals.csv").unlink()
    facts = look_into(str(built)).facts
    assert "in_clip" not in facts["kinds"]["eo"]
    assert facts["intervals"] == 0


def test_a_file_is_enough(built, tmp_path):
    alone = shutil.copy(built / "questions.csv", tmp_path / "alone.csv")
    assert look_into(str(alone)).facts["questions"] == look_into(str(built)).facts["questions"]


def test_verify_finds_nothing_in_what_was_just_built(built):
    assert look_into(str(built), verify=True).problems == []


def test_verify_names_changed_and_missing_files(built):
    with (built / "questions.csv").open("a") as file:
        file.write("\n")
    (built / "captions.csv").unlink()
    assert look_into(str(built), verify=True).problems == [
        "questions.csv: not what was written (SHA-256 differs)",
        "captions.csv: missing",
    ]


@pytest.mark.parametrize(
    ("fact", "other"),
    [("fingerprint", "something else"), ("kinds", {})]
    + [(fact, 999) for fact in ("questions", "clips", "captions")],
)
def test_verify_finds_a_manifest_that_does_not_fit_its_rows(built, fact, other):
    manifest = json.loads((built / "manifest.json").read_text())
    manifest[fact] = other
    (built / "manifest.json").write_text(json.dumps(manifest))
    (problem,) = look_into(str(built), verify=True).problems
    assert problem.startswith(f"manifest.json: {fact} is {other!r}, counted are")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"questions": "many"}, "questions is 'many', expected int"),
        ({"kinds": []}, r"kinds is \[\], expected dict"),
        (
            {"kinds": {"eo": {"questions": 1}}},
            r"\['clips', 'labels', 'letters'\] are missing in ki",
        ),
        ({"files": {"a": 1}}, r"files\.a is 1, expected str"),
        (
            {"repairs": [{"file": "a", "row": "1", "filename": "b", "what": "c"}]},
            r"repairs\[0\]\.row",
        ),
    ],
)
def test_a_manifest_of_other_types_is_named(built, change, message):
    manifest = json.loads((built / "manifest.json").read_text())
    (built / "manifest.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(DataVersionError, match=rf"manifest\.json: {message}.*edited or cut short"):
        look_into(str(built))


@pytest.mark.parametrize("text", ['{"repo": "a/b", "repo": "c/d", "commit": "e"}', "[" * 100_000])
def test_a_damaged_record_of_a_download_is_named(released_folder, tmp_path, text):
    folder = tmp_path / "data"
    shutil.copytree(released_folder("csv"), folder)
    (folder / "tempo_download.json").write_text(text)
    with pytest.raises(DataVersionError, match=r"tempo_download\.json: not JSON"):
        look_into(str(folder))
    (folder / "tempo_download.json").write_text('{"repo": "a/b"}')
    with pytest.raises(DataVersionError, match=r"tempo_download\.json: \['commit'\] are missing"):
        look_into(str(folder))


def test_released_layouts_without_a_manifest(released_folder):
    facts = look_into(str(released_folder("parquet"))).facts
    assert {kind: count["questions"] for kind, count in facts["kinds"].items()} == {
        "eo": 4,
        "lo": 4,
        "ld": 4,
    }
    assert facts["captions"] == facts["clips"] == 4


def test_a_task_of_the_released_benchmark_reads_what_the_task_would(built, monkeypatch):
    monkeypatch.setenv("TEMPO_DATA", str(built))
    assert look_into("tempo_eo_aqa").facts["questions"] == look_into(str(built)).facts["questions"]


def test_rendered_tasks(monkeypatch):
    asked = []
    original = without_audio.load_plain

    def load(name):
        asked.append(name)
        return original(name)

    monkeypatch.setattr("tempo_tasks.data.facts.load_plain", load)
    facts = look_into("tempo_synth_eo_aqa").facts
    assert asked == ["tempo_synth"]
    assert {count["questions"] for count in facts["kinds"].values()} == {400}
    assert facts["kinds"]["eo"]["in_clip"]["1"] == 0


@pytest.mark.parametrize("name", ["nobody/nothing", "tempo_eo_aqa", "no such thing at all"])
def test_what_is_not_here_is_not_downloaded(name):
    with pytest.raises(DataUnavailableError, match="is not in the Hub's cache"):
        look_into(name)


def test_only_builds_can_be_verified(released_folder):
    with pytest.raises(DataVersionError, match=r"no manifest\.json to verify against"):
        look_into(str(released_folder("csv")), verify=True)


def test_an_unfinished_build(tmp_path):
    (tmp_path / "build.json").write_text("{}")
    with pytest.raises(DataVersionError, match="a build that is not finished"):
        look_into(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object, found list"),
        ('{"what": "tempo data build", "format": 99}', "of format 99; this release reads"),
        ('{"name": "of another tool"}', "None of format None"),
    ],
)
def test_a_manifest_that_is_none(built, text, message):
    (built / "manifest.json").write_text(text)
    with pytest.raises(DataVersionError, match=message):
        look_into(str(built))


def test_a_name_that_only_begins_like_a_task_is_none():
    with pytest.raises(DataUnavailableError, match="tempo_synthx"):
        look_into("tempo_synthx")
    assert look_into("tempo_synth_hard_eo_aqa").facts["kinds"]["eo"]["questions"] == 400
