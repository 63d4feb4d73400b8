"""The files of a run folder: what a kill, a full disk or another program may do to them."""

import json
import logging
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from tempo_attn.errors import RunFolderError, RunLockedError
from tempo_attn.lab.run_folder import folder as runs
from tempo_attn.lab.run_folder.folder import RunFolder, read_run
from tests.support.run_folders import full_disk, lines, make_half_done, manifest, record


@pytest.fixture
def half_done(tmp_path):
    return make_half_done(tmp_path / "run")


# ---------------------------------------------------------------------- lines


@pytest.mark.parametrize(
    "tail", [b'{"key":"k5","ind', b'{"key":"k5","index":5}', b"\0\0\0\n", b"7\n"]
)
def test_a_broken_last_line_is_cut_off(half_done, caplog, tail):
    items = half_done / "items.jsonl"
    whole = items.read_bytes()
    items.write_bytes(whole + tail)
    assert [r["index"] for r in read_run(half_done).records] == [1, 3]  # reading changes nothing
    assert items.read_bytes() == whole + tail
    with caplog.at_level(logging.WARNING), RunFolder.open(half_done, manifest()) as run:
        assert (run.done, run.cut) == ({"k1", "k3"}, len(tail))
        run.append([record(5)])
    assert "items.jsonl: the last line is half-written" in caplog.text
    assert items.read_bytes().startswith(whole + b'{"key":"k5","index":5,"id"')


@pytest.mark.parametrize(
    "damage", [b'{"key":"k5","ind\n', b"\n", b'{"key":5,"index":5}\n', b"\xff\n"]
)
def test_a_broken_line_in_the_middle_is_named(half_done, damage):
    items = half_done / "items.jsonl"
    one, two = lines(items)
    items.write_bytes(one + damage + two)
    for use in (read_run, lambda path: RunFolder.open(path, manifest())):
        with pytest.raises(RunFolderError, match=r"items\.jsonl, line 2: is no record"):
            use(half_done)
    assert items.read_bytes() == one + damage + two


def test_a_full_disk_leaves_whole_lines(half_done):
    before = (half_done / "items.jsonl").read_bytes()
    with RunFolder.open(half_done, manifest()) as run:
        with full_disk(len(before) + 20):
            run.append([record(2)])
        assert (half_done / "items.jsonl").read_bytes() == before
        run.append([record(2)])
    assert len(lines(half_done / "items.jsonl")) == 3


def test_two_records_of_one_item(half_done):
    second = half_done / "items.r1.jsonl"
    line = lines(half_done / "items.jsonl")[0]
    second.write_bytes(line)  # two processes found the same
    assert [r["index"] for r in read_run(half_done).records] == [1, 3]
    second.write_bytes(line.replace(b"0.1", b"0.2"))
    with pytest.raises(RunFolderError, match=r"r1\.jsonl, line 1: .*clip 3.* differs .* same key"):
        read_run(half_done)
    second.write_bytes(line.replace(b":3,", b":4,"))
    with pytest.raises(RunFolderError, match=r"r1\.jsonl, line 1: .*index 4.* same key"):
        read_run(half_done)
    second.write_bytes(line.replace(b"k3", b"k4"))
    with pytest.raises(RunFolderError, match=r"r1\.jsonl, line 1: .* same index"):
        read_run(half_done)
    second.write_bytes(line.replace(b"3", b"33"))
    with pytest.raises(RunFolderError, match=r"r1\.jsonl, line 1: .*index 33\) is no item of this"):
        read_run(half_done)


# ---------------------------------------------------------------------- what is in the folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"schema": 1, "tasks": []}',
            r"manifest\.json: has schema 1; .* reads and writes schema 2",
        ),
        ("{}", r"manifest\.json: has schema null; .* schema 2"),
        ("[1]", r"manifest\.json: has schema null; .* schema 2"),
        ('{"schema": 2', r"manifest\.json: is not JSON .*expected .* schema 2"),
        ("\xff", r"manifest\.json: is not JSON"),
        (
            '{"schema": 2, "n_items": "3"}',
            r"manifest\.json: n_items, shard, .* are \"3\", null, null",
        ),
    ],
)
def test_a_manifest_of_another_kind_is_refused(half_done, text, message):
    (half_done / "manifest.json").write_text(text, "latin-1")
    for use in (read_run, lambda path: RunFolder.open(path, manifest())):
        with pytest.raises(RunFolderError, match=message):
            use(half_done)
    assert (half_done / "manifest.json").read_text("latin-1") == text


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(RunFolderError, match=r"no run folder.*'thesis\.tex'; nothing was changed"):
        RunFolder.open(tmp_path, manifest())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunFolderError, match=r"no run folder: it has no manifest\.json"):
        read_run(tmp_path)
    with pytest.raises(RunFolderError, match=r"thesis\.tex: cannot be written: "):
        RunFolder.open(tmp_path / "thesis.tex", manifest())
    with pytest.raises(RunFolderError, match=r"thesis\.tex: no run folder"):
        read_run(tmp_path / "thesis.tex")


@contextmanager
def not_root():
    """For root, permissions do not hold."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_cannot_be_written():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "run"
        with RunFolder.open(path, manifest()) as run:
            run.append([record(3)])
        for file in path.iterdir():
            file.chmod(0o444)
        path.chmod(0o555)
        with not_root():
            with pytest.raises(
                RunFolderError, match=r"cannot be written: Permission denied.*--out"
            ):
                RunFolder.open(path, manifest())
            with pytest.raises(
                RunFolderError, match=r"cannot be written: Permission denied.*--out"
            ):
                RunFolder.open(path / "new", manifest())
            assert read_run(path).records == [record(3)]  # reading needs no permission to write
        path.chmod(0o755)


# ---------------------------------------------------------------------- locks


def test_a_folder_that_another_process_is_making(tmp_path, monkeypatch):
    (tmp_path / f"manifest.{'a1' * 16}.partial.json").write_text('{"sch')
    with FileLock(tmp_path / ".lock"):
        monkeypatch.setattr(runs, "OPENING_SECONDS", 0.05)
        with pytest.raises(RunLockedError, match="another run is writing to this folder"):
            RunFolder.open(tmp_path, manifest())
    with RunFolder.open(tmp_path, manifest()) as run:  # it was killed before it was done
        assert run.done == set()


def test_a_refused_run_holds_no_lock(half_done):
    (half_done / "items.jsonl").write_bytes(b"broken\n" + (half_done / "items.jsonl").read_bytes())
    for _ in range(2):
        with pytest.raises(RunFolderError, match="line 1: is no record"):
            RunFolder.open(half_done, manifest())


@pytest.mark.parametrize("n_items", [-1, 2**31, 2**70, 1.0, "10", None])
def test_a_number_of_items_that_cannot_be(half_done, n_items):
    path = half_done / "manifest.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "n_items": n_items}))
    with pytest.raises(RunFolderError, match=r"manifest\.json: n_items, shard, shard_items are"):
        read_run(half_done)
    path.write_text(json.dumps({k: v for k, v in whole.items() if k != "shard_items"}))
    with pytest.raises(RunFolderError, match=r"manifest\.json: n_items, shard, shard_items are"):
        read_run(half_done)


@pytest.mark.parametrize(
    "damage", [b"[" * 100_000, b'{"key":"k5","index":5,"logits":NaN}', b'{"key":"k5","key":"k5"}']
)
def test_json_that_no_run_writes_is_a_broken_line(half_done, damage):
    items = half_done / "items.jsonl"
    one, two = lines(items)
    items.write_bytes(one + damage + b"\n" + two)
    with pytest.raises(RunFolderError, match=r"items\.jsonl, line 2: is no record"):
        read_run(half_done)
    (half_done / "manifest.json").write_bytes(damage)
    with pytest.raises(RunFolderError, match=r"manifest\.json"):
        read_run(half_done)
