"""Run folders: kept through a kill, never mixed, and equal however the work was split."""

import json
import logging
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from tempo_attn.errors import RunFolderError, RunLockedError, RunMismatchError
from tempo_attn.lab import runs
from tempo_attn.lab.runs import RunFolder, merge_runs, read_run, run_manifest

N_ITEMS = 10
FINGERPRINTS = {"model": "m1", "data": "d1", "environment": {"torch": "2.6", "dtype": "float32"}}
SETTINGS = {"strengths": [0.5, 2.0], "tasks": ["eo_aqa"], "seed": 0}


def manifest(**changes):
    fields = {"settings": SETTINGS, "fingerprints": FINGERPRINTS, "n_items": N_ITEMS}
    return run_manifest(**{"verb": "sweep", **fields, **changes})


def record(at, **changes):
    fields = {"key": f"k{at}", "index": at, "id": f"clip {at}é", "logits": [0.1, -1e-7]}
    return {**fields, **changes}


def lines(path):
    return path.read_bytes().splitlines(keepends=True)


def sorted_lines(path):
    return sorted(lines(path), key=lambda line: json.loads(line)["index"])


@pytest.fixture
def half_done(tmp_path):
    """A folder with items 3 and 1."""
    with RunFolder.open(tmp_path / "run", manifest()) as run:
        run.append([record(3), record(1)])
    return tmp_path / "run"


# ---------------------------------------------------------------------- going on


def test_a_run_goes_on_where_it_was(half_done):
    with RunFolder.open(half_done, manifest()) as run:
        assert run.done == {"k1", "k3"}
        run.append(record(i) for i in range(N_ITEMS) if f"k{i}" not in run.done)
        assert run.done == {f"k{i}" for i in range(N_ITEMS)}
        assert run.cut == 0
    found, records = read_run(half_done)
    assert found == manifest()
    assert records == [record(i) for i in range(N_ITEMS)]
    assert read_run(half_done).complete
    RunFolder.open(half_done, manifest()).close()  # the first one has let go of it


def test_an_unfinished_run_can_be_read(half_done):
    run = read_run(half_done)
    assert [r["index"] for r in run.records] == [1, 3]
    assert (run.missing, run.complete) == (8, False)


def test_what_is_on_disk_is_plain(half_done):
    first = '{"key":"k3","index":3,"id":"clip 3é","logits":[0.1,-1e-07]}\n'
    assert lines(half_done / "items.jsonl")[0] == first.encode()
    text = (half_done / "manifest.json").read_text("utf-8")
    assert '"strengths": [0.5, 2.0],' in text
    assert text.endswith("}\n")
    assert text.index('"fingerprints"') < text.index('"n_items"') < text.index('"verb"')


CHILD = """
import json, sys, time
from pathlib import Path
from tempo_attn.lab.runs import RunFolder
path, manifest, records, process, n, act = json.loads(Path(sys.argv[1]).read_text())
while act == "together" and not Path(path + ".go").exists():
    time.sleep(0.001)
with RunFolder.open(path, manifest, process=process, n_processes=n) as run:
    print("open", flush=True)
    if act == "hold":
        sys.stdin.read()
    for record in records:
        run.append([record])
        if act == "slowly":
            time.sleep(0.01)
"""


def child(path, act, *, records=(), process=0, n=1, given=None):
    job = Path(f"{path}.{process}.json")
    job.write_text(json.dumps([str(path), given or manifest(), list(records), process, n, act]))
    command = [sys.executable, "-c", CHILD, str(job)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_kill_9_loses_nothing_that_was_appended(tmp_path):
    path = tmp_path / "run"
    given = manifest(n_items=300)
    everything = [record(i) for i in range(300)]
    killed = child(path, "slowly", records=everything, given=given)
    killed.stdout.readline()
    while len(lines(path / "items.jsonl")) < 5:
        time.sleep(0.001)
    killed.kill()
    killed.communicate()
    with RunFolder.open(path, given) as run:  # the killed process's lock is gone, too
        assert 5 <= len(run.done) < 300
        run.append(r for r in everything if r["key"] not in run.done)
    with RunFolder.open(tmp_path / "unbroken", given) as run:
        run.append(everything)
    items, manifest_ = "items.jsonl", "manifest.json"
    assert (path / items).read_bytes() == (tmp_path / "unbroken" / items).read_bytes()
    assert (path / manifest_).read_bytes() == (tmp_path / "unbroken" / manifest_).read_bytes()


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


# ---------------------------------------------------------------------- appending


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record(2), record(3)], r"item 'clip 3é' \(index 3\) is there already"),
        ([record(2), record(2)], r"item 'clip 2é' \(index 2\) is there already"),
        ([record(2), record(4, index=2)], r"item 'clip 4é' \(index 2\) is not among the 8 items"),
        ([record(2), record(4, index=3)], r"item 'clip 4é' \(index 3\) is not among"),
        ([record(2), record(N_ITEMS)], r"item 'clip 10é' \(index 10\) is not among"),
        ([record(2), record(4, logits=[math.nan])], r"cannot write item 'clip 4é'.* finite"),
        ([record(2), record(4, logits=-math.inf)], r"cannot write item 'clip 4é'.* finite"),
        ([record(2), record(4, clip={1})], r"cannot write item 'clip 4é'.*set is not JSON"),
        ([record(2), record(4, clip="\ud800")], r"cannot write item 'clip 4é'.*surrogates"),
        ([record(2), {"key": "k4", "id": "x"}], r"cannot write item 'x'.*integer 'index'"),
        ([record(2), record(4, index=True)], r"cannot write item 'clip 4é'.*integer 'index'"),
    ],
)
def test_a_wrong_record_is_refused_and_nothing_is_written(half_done, records, message):
    before = (half_done / "items.jsonl").read_bytes()
    with RunFolder.open(half_done, manifest()) as run:
        with pytest.raises(RunFolderError, match=message):
            run.append(records)
        assert (half_done / "items.jsonl").read_bytes() == before
        run.append([record(2)])  # and the folder is as usable as before
        with pytest.raises(RunFolderError, match=r"item 'clip 4é' \(index 2\) is not among the 7"):
            run.append([record(4, index=2)])
    assert [r["index"] for r in read_run(half_done).records] == [1, 2, 3]


@contextmanager
def full_disk(n_bytes):
    """No file can be longer than this."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        with pytest.raises(RunFolderError, match=r"cannot be written: File too large"):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_whole_lines(half_done):
    before = (half_done / "items.jsonl").read_bytes()
    with RunFolder.open(half_done, manifest()) as run:
        with full_disk(len(before) + 20):
            run.append([record(2)])
        assert (half_done / "items.jsonl").read_bytes() == before
        run.append([record(2)])
    assert len(lines(half_done / "items.jsonl")) == 3


# ---------------------------------------------------------------------- another run


def test_another_run_is_refused_with_every_difference(half_done):
    before = {p.name: p.read_bytes() for p in half_done.iterdir()}
    other = manifest(
        settings={"strengths": [0.5, 1.5], "tasks": ["eo_aqa"], "limit": 7},
        fingerprints={**FINGERPRINTS, "model": "m2", "environment": {"torch": "2.7"}},
        n_items=9,
    )
    with pytest.raises(RunMismatchError) as refused:
        RunFolder.open(half_done, other)
    head, *fields = str(refused.value).splitlines()
    assert f"{half_done}: holds another run" in head
    assert "another --out" in head
    assert fields == [
        '  fingerprints.environment.dtype: the folder has "float32", this run has nothing',
        '  fingerprints.environment.torch: the folder has "2.6", this run has "2.7"',
        '  fingerprints.model: the folder has "m1", this run has "m2"',
        "  n_items: the folder has 10, this run has 9",
        "  settings.limit: the folder has nothing, this run has 7",
        "  settings.seed: the folder has 0, this run has nothing",
        "  settings.strengths: the folder has [0.5, 2.0], this run has [0.5, 1.5]",
    ]
    assert {p.name: p.read_bytes() for p in half_done.iterdir()} == before


def test_long_values_differ_though_their_beginnings_do_not(tmp_path):
    one, other = (manifest(prompt="x" * 200 + end) for end in "ab")
    RunFolder.open(tmp_path, one).close()
    with pytest.raises(RunMismatchError, match=r"prompt: .* have different \"xxx.*\.\.\."):
        RunFolder.open(tmp_path, other)


def test_what_is_only_for_the_reader_may_differ(tmp_path):
    here, there = ({**FINGERPRINTS, "info": {"python": python}} for python in ("3.10", "3.12"))
    RunFolder.open(tmp_path, manifest(fingerprints=here)).close()
    RunFolder.open(tmp_path, manifest(fingerprints=there, info="x")).close()
    assert read_run(tmp_path).manifest == manifest(fingerprints=here)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"schema": 2, "tasks": []}',
            r"manifest\.json: has schema 2; .* reads and writes schema 1",
        ),
        ("{}", r"manifest\.json: has schema null; .* schema 1"),
        ("[1]", r"manifest\.json: has schema null; .* schema 1"),
        ('{"schema": 1', r"manifest\.json: is not JSON .*expected .* schema 1"),
        ("\xff", r"manifest\.json: is not JSON"),
        (
            '{"schema": 1, "n_items": "3"}',
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


# ---------------------------------------------------------------------- several processes


def test_four_processes_make_one_folder(tmp_path):
    path = tmp_path / "run"
    dealt = [[record(i) for i in range(process, N_ITEMS, 4)] for process in range(4)]
    running = [child(path, "together", records=r, process=p, n=4) for p, r in enumerate(dealt)]
    (tmp_path / "run.go").touch()
    for process in running:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    assert read_run(path) == (manifest(), [record(i) for i in range(N_ITEMS)])
    visible = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
    assert visible == [*(f"items.r{process}.jsonl" for process in range(4)), "manifest.json"]
    with RunFolder.open(path, manifest()) as run:  # one process sees what four have done
        assert len(run.done) == N_ITEMS
        with pytest.raises(RunFolderError, match="there already"):
            run.append([record(2)])


def test_an_independent_run_is_kept_out(tmp_path):
    holder = child(tmp_path, "hold", process=1, n=2)
    assert holder.stdout.readline() == "open\n"
    RunFolder.open(tmp_path, manifest(), process=0, n_processes=2).close()  # a process of its run
    for process, n in [(1, 2), (0, 1), (2, 4)]:
        with pytest.raises(RunLockedError, match="another run is writing to this folder"):
            RunFolder.open(tmp_path, manifest(), process=process, n_processes=n)
    assert read_run(tmp_path).missing == N_ITEMS
    holder.kill()
    holder.communicate()
    with RunFolder.open(tmp_path, manifest()):
        pass


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


def test_reading_while_another_process_writes(tmp_path):
    path, given = tmp_path / "run", manifest(n_items=200)
    big = [record(i, logits=[i / 7] * 2000) for i in range(200)]
    writer = child(path, "quickly", records=big, given=given)
    writer.stdout.readline()
    while writer.poll() is None:
        read = read_run(path).records
        assert read == big[: len(read)]
    writer.communicate()
    assert read_run(path).complete


@pytest.mark.parametrize(("process", "n"), [(1, 1), (-1, 2), (0, 0)])
def test_processes_count_from_zero(tmp_path, process, n):
    with pytest.raises(RunFolderError, match=f"process {process} of {n}"):
        RunFolder.open(tmp_path / "run", manifest(), process=process, n_processes=n)


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


# ---------------------------------------------------------------------- shards


def shard(folder, number, n, indices=None, finish=True, **changes):
    """Compute a shard: batches of two items are dealt in turn; found in any order."""
    indices = [i for i in range(N_ITEMS) if i // 2 % n == number] if indices is None else indices
    given = manifest(shard=(number, n), shard_items=indices, **changes)
    path = folder / f"shard{number}of{n}{len(list(folder.iterdir()))}"
    with RunFolder.open(path, given) as run:
        run.append(record(i) for i in reversed(indices if finish else indices[1:]))
    return path


def test_merged_shards_are_the_unsharded_run(tmp_path):
    with RunFolder.open(tmp_path / "whole", manifest()) as run:
        run.append(record(i) for i in (5, 3, 9, 0, 1, 2, 8, 7, 4, 6))
    shards = [shard(tmp_path, number, 3) for number in (2, 0, 1)]
    assert [read_run(path).complete for path in shards] == [True, True, True]
    merged = merge_runs(shards, tmp_path / "deep" / "merged")
    folder = tmp_path / "deep" / "merged"
    assert read_run(folder) == merged == read_run(tmp_path / "whole")
    assert (folder / "items.jsonl").read_bytes() == b"".join(
        sorted_lines(tmp_path / "whole" / "items.jsonl")
    )
    assert (folder / "manifest.json").read_bytes() == (
        tmp_path / "whole" / "manifest.json"
    ).read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == ["items.jsonl", "manifest.json"]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["merged"]
    assert len(RunFolder.open(folder, manifest()).done) == N_ITEMS  # and it can be gone on with


def test_a_shard_takes_only_its_own_items(tmp_path):
    given = manifest(shard=(0, 5), shard_items=[1, 0])
    with RunFolder.open(tmp_path, given) as run:
        with pytest.raises(RunFolderError, match=r"\(index 2\) is not among the 2 items"):
            run.append([record(2)])
        run.append([record(1)])
    assert read_run(tmp_path).missing == 1


def test_shards_must_be_of_one_run_each_once_and_complete(tmp_path):
    zero, one, two = (shard(tmp_path, number, 3) for number in range(3))

    def refused(error, message, *paths):
        with pytest.raises(error, match=message):
            merge_runs(paths, tmp_path / "merged")
        assert not (tmp_path / "merged").exists()
        assert not list(tmp_path.glob(".*"))

    refused(RunFolderError, r"shards missing: 0/3, 2/3;", one)
    refused(RunFolderError, r"shards missing: all of them")
    refused(RunFolderError, rf"{one} and {one} are both shard 1/3", zero, one, one, two)
    other = shard(tmp_path, 2, 3, fingerprints={**FINGERPRINTS, "model": "m2"})
    refused(RunMismatchError, rf'model: {zero} has "m1", {other} has "m2"', zero, one, other)
    of_four = shard(tmp_path, 2, 4)
    refused(RunMismatchError, r'shard: \S+ has "any of 3", \S+ has "any of 4"', zero, one, of_four)
    unfinished = shard(tmp_path, 2, 3, finish=False)
    refused(RunFolderError, r"shard 2/3 misses 1 of its 2 items", zero, one, unfinished)
    overlapping = shard(tmp_path, 2, 3, indices=[0, 5])
    refused(RunFolderError, r"each of the run's 10 items once", zero, one, overlapping)
    too_few = shard(tmp_path, 2, 3, indices=[4])
    refused(RunFolderError, r"each of the run's 10 items once", zero, one, too_few)
    RunFolder.open(tmp_path / "whole", manifest()).close()
    refused(RunFolderError, r"whole: is a whole run", zero, one, tmp_path / "whole")


def test_merging_overwrites_nothing(tmp_path):
    shards = [shard(tmp_path, number, 2) for number in range(2)]
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes").write_text("mine")
    with pytest.raises(RunFolderError, match=r"out: is not empty"):
        merge_runs(shards, out)
    assert [p.name for p in out.iterdir()] == ["notes"]
    with full_disk(100):
        merge_runs(shards, tmp_path / "full")
    assert {p.name[:3] for p in tmp_path.iterdir()} == {"sha", "out"}  # nothing half-made
    (out / "notes").unlink()
    assert merge_runs(shards, out).complete
