"""The unpacking of `examples/recorded_sounds.py`, on containers made here; nothing is fetched."""

import importlib.util
import struct
import zipfile

import pytest

from tests.support.paths import ROOT
from tests.support.recorded_sounds import recording, write_wav


@pytest.fixture(scope="module")
def example():
    file = ROOT / "examples" / "recorded_sounds.py"
    spec = importlib.util.spec_from_file_location("recorded_sounds_example", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def container(*sounds):
    """A `.cat` container of (text, WAV)."""
    entries = [bytes([len(text) + 1]) + text + b"\0" + wav + b"\0\x05x.wav" for text, wav in sounds]
    offset = 8 * len(entries)
    table = b""
    for number, entry in enumerate(entries):
        flag = 0x80000000 if number == 0 else 0
        table += struct.pack("<II", offset | flag, len(entry) - 10)
        offset += len(entry)
    return table + b"".join(entries)


def test_each_sound_of_a_container_is_read_with_its_text(example, tmp_path):
    wav = write_wav(tmp_path / "a.wav", recording("Rain")).read_bytes()
    other = write_wav(tmp_path / "b.wav", recording("Siren")).read_bytes()
    sounds = example.read_cat(container((b'"Cow". By x. License: CC0.', wav), (b"y", other)))
    assert sounds == [('"Cow". By x. License: CC0.', wav), ("y", other)]
    with pytest.raises(ValueError, match="sound 0: no RIFF file"):
        example.read_cat(container((b"y", b"no sound at all")))


def test_a_text_tells_name_author_and_licence(example):
    told = '"Cow". Original "moan.wav" by "Gib". Edited by "Wuzzy". License: CC Zero 1.0.'
    about = 'Original "moan.wav" by "Gib". Edited by "Wuzzy"'
    assert example.told_of(told) == ("Cow", about, "CC Zero 1.0")
    assert example.told_of("nothing of the kind") == ("", "", "")


def test_animals_of_a_wheel_get_their_pages(example, tmp_path):
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("skill/CREDITS.md", "| Cow | https://x.org/cow |\n")
        packed.writestr("skill/sounds/animals/cow.mp3", b"moo")
        packed.writestr("skill-1.dist-info/METADATA", "x")
    (row,) = example.unpack_animals(wheel, tmp_path)
    assert row == ("animals/cow.mp3", "cow", "CC0", "Joseph Sardin", "https://x.org/cow", "cow.mp3")
    assert (tmp_path / "animals" / "cow.mp3").read_bytes() == b"moo"


def test_without_the_packages_it_says_what_to_do(example, tmp_path, monkeypatch):
    monkeypatch.setattr(example.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="Get the package where there is a network"):
        example.fetch_deb(tmp_path)
