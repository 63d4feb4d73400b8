"""Downloads against a server on this machine that drops, delays, lies and ignores ranges."""

import hashlib
import random
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from tempo_tasks import file_hashes
from tempo_tasks.errors import ChecksumError, DataUnavailableError, DownloadError
from tempo_tasks.sources import resumable_download, tacos
from tempo_tasks.sources.resumable_download import download_file
from tests.support.fake_tacos import Site, make_tacos, serve

CONTENT = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "clips.bin"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(resumable_download, "_CHUNK", 10_000)
    monkeypatch.setattr(file_hashes, "_CHUNK", 10_000)


def fetch(site: Site, target: Path, **change) -> bool:
    options = {"md5": MD5, "size": len(CONTENT), "progress": False, "pause": 0.0, "attempts": 3}
    return download_file(f"{site.url}/clips.bin", target, **(options | change))


def begun(target: Path, content: bytes) -> Path:
    """Put a part there, as a killed download leaves it."""
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_under_its_name_and_leaves_nothing_else(target):
    with serve(Site({"clips.bin": CONTENT})) as site:
        assert fetch(site, target) is True
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["clips.bin"]
    assert site.asked == [None]


def test_a_right_file_is_not_fetched_again(target):
    with serve(Site({"clips.bin": CONTENT})) as site:
        fetch(site, target)
        assert fetch(site, target) is False
    assert len(site.asked) == 1


def test_a_killed_download_goes_on_with_what_is_missing(target):
    begun(target, CONTENT[:123_456])
    with serve(Site({"clips.bin": CONTENT})) as site:
        assert fetch(site, target)
    assert site.asked == ["bytes=123456-"]
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(target):
    begun(target, CONTENT[:123_456])
    with serve(Site({"clips.bin": CONTENT}, ranges=False)) as site:
        assert fetch(site, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("lengths", [True, False])
def test_dropped_connections_are_taken_up_again(target, ranges, lengths):
    site = Site({"clips.bin": CONTENT}, ranges, drop_after=70_000, drops=2, lengths=lengths)
    with serve(site):
        assert fetch(site, target)
    assert target.read_bytes() == CONTENT
    assert len(site.asked) == 3
    assert site.asked[1] == "bytes=70000-"


def test_more_drops_than_attempts_are_fine_as_long_as_something_arrives(target):
    with serve(Site({"clips.bin": CONTENT}, drop_after=40_000, drops=99)) as site:
        assert fetch(site, target, attempts=1)
    assert len(site.asked) == 8


def test_a_busy_server_is_asked_again(target):
    with serve(Site({"clips.bin": CONTENT}, busy=2)) as site:
        assert fetch(site, target)
    assert len(site.asked) == 3


def test_it_gives_up_where_nothing_arrives_and_keeps_what_has(target):
    part = begun(target, CONTENT[:1000])
    with (
        serve(Site({"clips.bin": CONTENT}, busy=99)) as site,
        pytest.raises(
            DownloadError, match=r"HTTP 503.*3 attempts.*1,000 of 300,000 bytes are here"
        ),
    ):
        fetch(site, target)
    assert len(site.asked) == 3
    assert part.read_bytes() == CONTENT[:1000]
    assert not target.exists()


def test_no_network(target):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataUnavailableError, match=r"cannot be downloaded .*goes on from there"):
        fetch(Site({}, url=f"http://127.0.0.1:{port}"), target)


def test_a_refusal_is_not_asked_again(target):
    with (
        serve(Site({}, status=404)) as site,
        pytest.raises(DownloadError, match="HTTP 404"),
    ):
        fetch(site, target)
    assert len(site.asked) == 1


def test_another_content_is_refused_and_nothing_kept(target):
    other = CONTENT[:-1] + b"x"
    with (
        serve(Site({"clips.bin": other})) as site,
        pytest.raises(ChecksumError, match=rf"{hashlib.md5(other).hexdigest()}.*{MD5}.*Nothing"),
    ):
        fetch(site, target)
    assert names(target.parent) == []


def test_a_part_of_another_file_costs_one_fresh_start(target):
    begun(target, b"x" * 1000)
    with serve(Site({"clips.bin": CONTENT})) as site:
        assert fetch(site, target)
    assert site.asked == ["bytes=1000-", None]
    assert target.read_bytes() == CONTENT


def test_a_log_in_page_in_place_of_the_file(target):
    part = begun(target, CONTENT[:1000])
    with (
        serve(Site({"clips.bin": b"<html>Log in</html>"}, ranges=False)) as site,
        pytest.raises(ChecksumError, match=r"offers 19 bytes, the published file has 300,000"),
    ):
        fetch(site, target)
    assert part.read_bytes() == CONTENT[:1000]


def test_more_bytes_than_published(target):
    long = Site({"clips.bin": CONTENT + b"x" * 50_000}, lengths=False)
    with serve(long), pytest.raises(ChecksumError, match="published file has 300,000"):
        fetch(long, target)
    assert names(target.parent) == []


@pytest.mark.parametrize("content", [CONTENT + b"more", b"x" * 300_000])
def test_a_part_that_cannot_be_one_is_dropped(target, content):
    begun(target, content)
    with serve(Site({"clips.bin": CONTENT})) as site:
        assert fetch(site, target)
    assert site.asked == [None]


def test_a_server_that_sends_another_range_than_asked_for(target):
    begun(target, CONTENT[:1000])
    with serve(Site({"clips.bin": CONTENT}, shift=7)) as site:
        assert fetch(site, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:500], b"x" * 300_000])
def test_a_wrong_file_under_the_name_is_never_overwritten(target, content):
    target.parent.mkdir()
    target.write_bytes(content)
    with (
        serve(Site({"clips.bin": CONTENT})) as site,
        pytest.raises(ChecksumError, match="Move it away"),
    ):
        fetch(site, target)
    assert site.asked == []
    assert target.read_bytes() == content


def test_no_room(target, monkeypatch):
    monkeypatch.setattr(
        resumable_download.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000)
    )
    with (
        serve(Site({"clips.bin": CONTENT})) as site,
        pytest.raises(DownloadError, match=r"1,000 bytes free, clips\.bin needs 300,000 more"),
    ):
        fetch(site, target)


def test_no_address(target):
    with pytest.raises(DownloadError, match="no usable address"):
        download_file("records/1", target, md5=MD5, size=9, progress=False)


def test_waiting_times_double_and_a_server_can_ask_for_more(target, monkeypatch):
    waited = []
    monkeypatch.setattr(resumable_download.time, "sleep", waited.append)
    with serve(Site({"clips.bin": CONTENT}, busy=3)) as site:
        assert fetch(site, target, pause=1.0, attempts=5)
    assert waited == [1.0, 2.0, 4.0]


def test_the_record_is_fetched_file_by_file(tmp_path, monkeypatch):
    record = make_tacos(tmp_path / "there")
    monkeypatch.setattr(tacos, "FILES", record)
    files = {name: (tmp_path / "there" / name).read_bytes() for name in record}
    with serve(Site(files)) as site:
        folder = tmp_path / "here"
        first = tacos.download_tacos(folder, audio=False, progress=False, base=site.url)
        again = tacos.download_tacos(folder, progress=False, base=site.url)
    assert set(first) == set(record) - {"audio.zip"}
    assert all(first.values())
    assert again == {name: name == "audio.zip" for name in record}
    assert {name: (folder / name).read_bytes() for name in record} == files
