"""Run folders: kept through a kill, never mixed, and equal however the work was split."""

import math
import time
from dataclasses import replace

import pytest

from tempo_attn.errors import RunFolderError, RunLockedError, RunMismatchError
from tempo_attn.lab.run_folder.folder import (
    Run,
    RunFolder,
    default_folder,
    merge_runs,
    read_run,
)
from tests.support.run_folders import (
    FINGERPRINTS,
    N_ITEMS,
    child,
    full_disk,
    lines,
    make_half_done,
    manifest,
    record,
    sorted_lines,
)


@pytest.fixture
def half_done(tmp_path):
    return make_half_done(tmp_path / "run")


# ---------------------------------------------------------------------- going on


def test_a_run_goes_on_where_it_was(half_done):
    with RunFolder.open(half_done, manifest()) as run:
        assert run.done == {"k1", "k3"}
        run.append(record(i) for i in range(N_ITEMS) if f"k{i}" not in run.done)
        assert run.done == {f"k{i}" for i in range(N_ITEMS)}
        assert run.cut == 0
    run = read_run(half_done)
    assert run == Run(half_done, manifest(), [record(i) for i in range(N_ITEMS)])
    assert run.folder == half_done
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
    assert text.index('"fingerprints"') < text.index('"n_items"') < text.index('"settings"')


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
        ([record(2), record(4, cluster={1})], r"cannot write item 'clip 4é'.*set is not JSON"),
        ([record(2), record(4, cluster="\ud800")], r"cannot write item 'clip 4é'.*surrogates"),
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


# ---------------------------------------------------------------------- another run


def test_another_run_is_refused_with_every_difference(half_done):
    before = {p.name: p.read_bytes() for p in half_done.iterdir()}
    other = manifest(
        of_command={"strengths": [0.5, 1.5], "rows": ["last"]},
        limit=7,
        model=replace(FINGERPRINTS.model, weights="w2"),
        environment={"torch": "2.7"},
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
        '  fingerprints.model.weights: the folder has "w1", this run has "w2"',
        "  n_items: the folder has 10, this run has 9",
        "  settings.limit: the folder has null, this run has 7",
        '  settings.rows: the folder has nothing, this run has ["last"]',
        "  settings.strengths: the folder has [0.5, 2.0], this run has [0.5, 1.5]",
    ]
    assert {p.name: p.read_bytes() for p in half_done.iterdir()} == before


def test_long_values_differ_though_their_beginnings_do_not(tmp_path):
    one, other = (manifest(of_command={"prompt": "x" * 200 + end}) for end in "ab")
    RunFolder.open(tmp_path, one).close()
    with pytest.raises(RunMismatchError, match=r"prompt: .* have different \"xxx.*\.\.\."):
        RunFolder.open(tmp_path, other)


def test_what_is_only_for_the_reader_may_differ(tmp_path):
    here, there = (
        manifest(environment={**FINGERPRINTS.environment, "info": {"python": python}})
        for python in ("3.10", "3.12")
    )
    RunFolder.open(tmp_path, here).close()
    RunFolder.open(tmp_path, there).close()
    assert read_run(tmp_path).manifest == here
    assert default_folder(here) == default_folder(there) != default_folder(manifest(seed=1))
    assert default_folder(here).name.startswith("sweep-")


def test_a_wrong_manifest_makes_no_folder(tmp_path):
    with pytest.raises(RunFolderError, match="this run's manifest: n_items, shard, shard_items"):
        RunFolder.open(tmp_path / "run", manifest(n_items=-1))
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------------- several processes


def test_four_processes_make_one_folder(tmp_path):
    path = tmp_path / "run"
    dealt = [[record(i) for i in range(process, N_ITEMS, 4)] for process in range(4)]
    running = [child(path, "together", records=r, process=p, n=4) for p, r in enumerate(dealt)]
    (tmp_path / "run.go").touch()
    for process in running:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    assert read_run(path) == Run(path, manifest(), [record(i) for i in range(N_ITEMS)])
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
    other = shard(tmp_path, 2, 3, code="c2")
    refused(RunMismatchError, rf'code: {zero} has "c1", {other} has "c2"', zero, one, other)
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
