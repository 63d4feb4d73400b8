"""The released benchmark, read from folders in its layout; rendered scenes stand in for it."""

import copy
import json
import multiprocessing
import random
import shutil
import sys
from types import SimpleNamespace

import datasets
import huggingface_hub
import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from tempo_tasks.audio import read_audio
from tempo_tasks.cache_folder import cache_dir
from tempo_tasks.errors import DataUnavailableError, DataVersionError
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.clip_audio import store_audio
from tempo_tasks.sources.hub import RELEASED_ALIAS, RELEASED_REPO, load_released
from tests.support.released_layout import LAYOUTS, write_layout


@pytest.fixture
def rows(layout_rows):
    """A copy of the rows, to spoil."""
    return copy.deepcopy(layout_rows)


def load(folder, kind=Kind.EO, **options):
    return load_released(kind, data=str(folder), **options)


# What can be read


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_questions(released_folder, layout_rows, layout, kind):
    found = load(released_folder(layout), kind)
    assert [q.id for q in found.questions] == [f"{n:05d}.wav/{kind.value}" for n in range(4)]
    expected = [row for row in layout_rows if row["question"] == kind.text]
    for question, row in zip(found.questions, expected, strict=True):
        assert question.clip_id == row["filename"]
        assert question.answer == row["correct_answer"]
        assert question.answer_text == row["correct_text"]
        assert question.n_present is None  # the released file does not tell
        assert found.captions[question.clip_id] == row["caption"]
        assert len(read_audio(found.audio[question.clip_id], 16_000)) == 160_000
    assert found.name == f"released-{layout}"
    assert found.fingerprint == load(released_folder("parquet"), kind).fingerprint


def test_a_single_file_or_the_environment_variable_can_name_the_data(released_folder, monkeypatch):
    folder = released_folder("csv")
    by_file = load(folder / "metadata.csv")
    monkeypatch.setenv("TEMPO_DATA", str(folder))
    by_variable = load_released(Kind.EO)
    assert by_file.fingerprint == by_variable.fingerprint
    assert load(released_folder("disk")).name == "released-disk"  # the argument comes first


def test_fingerprint_depends_on_content_and_not_on_row_order(rows, tmp_path):
    whole = load(write_layout(tmp_path / "a", "jsonl", rows))
    mixed = random.Random(0).sample(rows, len(rows))
    shuffled = load(write_layout(tmp_path / "b", "jsonl", mixed))
    assert shuffled.fingerprint == whole.fingerprint
    assert [q.id for q in shuffled.questions] != [q.id for q in whole.questions]

    rows[0]["caption"] += " Then it ends."
    assert load(write_layout(tmp_path / "c", "jsonl", rows)).fingerprint != whole.fingerprint


@pytest.mark.parametrize(
    "task", [None, "", "EO", "earliest-start", "relative_earliest_start", "some new name"]
)
def test_task_column_may_be_an_alias_absent_or_unknown(rows, tmp_path, task):
    for row in rows:
        if row["task"] == "earliest_start":
            row["task"] = task
        if task is None:
            del row["task"]
    assert len(load(write_layout(tmp_path, "jsonl", rows)).questions) == 4


def test_another_wording_counts_where_task_and_keyword_agree(rows, tmp_path, caplog):
    rows[0]["question"] = "Which sound starts earliest?"
    found = load(write_layout(tmp_path, "jsonl", rows))
    assert found.questions[0].text == Kind.EO.text
    assert "Which sound starts earliest?" in caplog.text  # and the log says so


def test_file_names_may_stand_in_file_name_and_no_audio_column(rows, tmp_path):
    folder = write_layout(tmp_path, "jsonl", rows)
    texts = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    with (folder / "metadata.jsonl").open("w") as file:
        for text in texts:
            del text["audio"]
            text["file_name"] = text.pop("filename")
            file.write(json.dumps(text) + "\n")
    assert len(load(folder).audio) == 4


def test_labels_that_look_like_missing_values_stay_text(rows, tmp_path):
    rows[0]["option_" + "abcd"[("ABCD".index(rows[0]["correct_answer"]) + 1) % 4]] = "None"
    assert "None" in load(write_layout(tmp_path, "csv", rows)).questions[0].options


def test_several_questions_on_one_clip_get_ids_whatever_their_order(rows, tmp_path):
    second = {**rows[0], "option_a": rows[0]["option_b"], "option_b": rows[0]["option_a"]}
    swap = {"A": "B", "B": "A"}
    second["correct_answer"] = swap.get(second["correct_answer"], second["correct_answer"])
    forth = load(write_layout(tmp_path / "a", "jsonl", [*rows, second]))
    back = load(write_layout(tmp_path / "b", "jsonl", [second, *rows]))
    assert {q.id for q in forth.questions} >= {"00000.wav/eo", "00000.wav/eo/1"}
    assert sorted(forth.questions, key=str) == sorted(back.questions, key=str)
    assert forth.fingerprint == back.fingerprint


# Splits and configurations


def split_folder(tmp_path, rows, names):
    table = datasets.Dataset.from_list(rows)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


@pytest.mark.parametrize(
    "names",
    [
        ["data/train-00000-of-00001"],  # whichever split exists
        ["data/test-00000-of-00001", "data/train-00000-of-00001"],  # `test` before others
        ["earliest_start/test-00000-of-00001", "latest_end/test-00000-of-00001"],
        ["data/earliest_start-00000-of-00001", "data/latest_end-00000-of-00001"],
        ["everything"],
    ],
)
def test_the_split_is_found(tmp_path, rows, names):
    assert len(load(split_folder(tmp_path, rows, names)).questions) == 4


def test_several_splits_without_test_need_a_name(tmp_path, rows):
    folder = split_folder(tmp_path, rows, ["data/train-00000-of-00001", "data/dev-00000-of-00001"])
    with pytest.raises(DataVersionError, match=r"Found \['dev', 'train'\].*data_split"):
        load(folder)
    assert len(load(folder, split="dev").questions) == 4
    with pytest.raises(DataVersionError, match="the split 'tset'"):
        load(folder, split="tset")


def test_a_missing_shard_is_noticed(tmp_path, rows):
    folder = write_layout(tmp_path, "parquet", rows)
    (folder / "data" / "test-00001-of-00002.parquet").unlink()
    with pytest.raises(DataVersionError, match="found 1 of 2 shards"):
        load(folder)


# Where the data cannot be had


def assert_says_what_to_do(message):
    assert f"hf download {RELEASED_REPO} --repo-type dataset" in message
    for part in ("TEMPO_DATA=", '--metadata \'{"data": ', "tempo_synth_eo_aqa"):
        assert part in message


def test_hub_out_of_reach(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataUnavailableError) as caught:
        load_released(Kind.EO)
    assert isinstance(caught.value, FileNotFoundError)
    assert_says_what_to_do(str(caught.value))


def test_missing_and_empty_folders(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DataUnavailableError) as caught:
            load(folder)
        assert_says_what_to_do(str(caught.value))


def test_a_snapshot_of_the_hub_is_named_by_repository_and_commit(
    monkeypatch, released_folder, tmp_path
):
    snapshot = tmp_path / "snapshots" / ("0123456789ab" + 28 * "c")
    shutil.copytree(released_folder("parquet"), snapshot)
    asked = []

    def snapshot_download(repo, **options):
        asked.append((repo, options))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert load_released(Kind.LD).name == f"{RELEASED_REPO}@0123456789ab"
    assert load_released(Kind.LD, data="me/mine", revision="v2").name == "me/mine@0123456789ab"
    assert asked == [
        (RELEASED_REPO, {"repo_type": "dataset", "revision": None}),
        ("me/mine", {"repo_type": "dataset", "revision": "v2"}),
    ]


def test_the_alias_is_asked_only_where_the_repository_does_not_exist(
    monkeypatch, released_folder, tmp_path
):
    snapshot = tmp_path / "snapshots" / ("0123456789ab" + 28 * "c")
    shutil.copytree(released_folder("parquet"), snapshot)
    response = SimpleNamespace(headers={}, request=None)
    errors = {RELEASED_REPO: RepositoryNotFoundError("gone", response=response)}
    asked = []

    def snapshot_download(repo, **options):
        asked.append(repo)
        if repo in errors:
            raise errors[repo]
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert load_released(Kind.EO).name == f"{RELEASED_ALIAS}@0123456789ab"
    assert asked == [RELEASED_REPO, RELEASED_ALIAS]
    # A broken connection says nothing about names, and another data set has no alias.
    errors |= {RELEASED_REPO: OSError("no route"), "me/mine": errors[RELEASED_REPO]}
    for data in (None, "me/mine"):
        with pytest.raises(DataUnavailableError):
            load_released(Kind.EO, data=data)
    assert asked[2:] == [RELEASED_REPO, "me/mine"]


# Embedded audio in the cache


def test_embedded_audio_is_extracted_once_and_repaired(released_folder):
    handle = load(released_folder("parquet")).audio["00000.wav"]
    path = cache_dir() / "audio" / f"{handle['sha256']}.wav"
    assert handle == {"path": str(path), "sha256": handle["sha256"], "silence": False}
    written = path.stat().st_mtime_ns
    load(released_folder("disk"))
    assert path.stat().st_mtime_ns == written

    path.write_bytes(b"damaged")
    load(released_folder("disk"))
    assert len(read_audio(handle, 16_000)) == 160_000


def _store(content):
    return store_audio(content, ".wav")["path"]


def test_two_processes_may_extract_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPO_CACHE", str(tmp_path))
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with context.Pool(2) as pool:
        paths = pool.map(_store, [bytes(100_000)] * 20, chunksize=1)
    assert len(set(paths)) == 1
    assert [file.stat().st_size for file in (tmp_path / "audio").iterdir()] == [100_000]


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TEMPO_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataUnavailableError, match="TEMPO_CACHE"):
        store_audio(b"x", ".wav")
