"""Damaged audio of every format: a result of full length or a named error, and a quiet terminal."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.paths import ROOT

RATE = 16_000
SECONDS = 4
DAMAGES = 2_500

# Seconds that a whole file may lack: encoder delay and padding of MP3, byte rates rounded to 2 %.
SPARE = {"MP3": 3 * 1152 / RATE, "WAV": 0.15, "W64": 0.15, "OGG": 0.001}


def samples(folder):
    """Four seconds of noise in bursts, in each format and subtype that can be written, by name."""
    rng = np.random.RandomState(0)
    wave = (
        0.2 * rng.standard_normal(SECONDS * RATE) * (np.arange(SECONDS * RATE) // 4000 % 2 + 0.01)
    )
    found = {}
    for form in sorted(soundfile.available_formats()):
        for subtype in sorted(soundfile.available_subtypes(form)):
            for channels in (1, 2):
                # By its path: SD2 writes a second file beside it.
                path = Path(folder) / "whole"
                content = np.repeat(wave[:, None], channels, axis=1)
                try:
                    soundfile.write(path, content, RATE, format=form, subtype=subtype)
                except (soundfile.LibsndfileError, ValueError):
                    continue  # named, but cannot be written
                found[f"{form}-{subtype}-{channels}"] = path.read_bytes()
    # As encoders write that know no such header.
    for channels in (1, 2):
        whole = found[f"MP3-MPEG_LAYER_III-{channels}"]
        found[f"MP3-bare-{channels}"] = whole[whole.index(whole[:2], 4) :]
    return found


def damage(content, rng):
    """Damage a file as disks, networks and careless programs do."""
    content = bytearray(content)
    n = len(content)
    # Headers are small, and most of what can go wrong is in them.
    where = int(rng.randint(n) if rng.rand() < 0.5 else rng.randint(min(n, 120)))
    length = int(rng.randint(1, max(2, n // 2))) if rng.rand() < 0.5 else int(rng.randint(1, 9))
    kind = rng.randint(6)
    if kind == 0:
        for _ in range(rng.randint(1, 9)):
            at = int(rng.randint(n)) if rng.rand() < 0.3 else int(rng.randint(min(n, 120)))
            content[at] ^= 1 << rng.randint(8)
    elif kind == 1:
        content[where : where + length] = rng.bytes(len(content[where : where + length]))
    elif kind == 2:
        content[where : where + length] = bytes(len(content[where : where + length]))
    elif kind == 3:
        del content[where : where + length]
    elif kind == 4:
        del content[int(rng.randint(n)) :]
    else:
        content[where:where] = rng.bytes(length)
    return bytes(content)


def outcome(name, content, folder):
    """Return what reading gives: seconds, or an error's name and text."""
    from tempo_tasks.audio import AudioLimits, file_handle, read_audio
    from tempo_tasks.errors import TempoError

    path = Path(folder) / f"{name}.{name.split('-')[0].lower()}"
    path.write_bytes(content)
    try:
        wave = read_audio(file_handle(path), RATE, AudioLimits(max_seconds=30.0))
    except TempoError as error:
        if str(path) not in str(error):
            return f"unnamed: {error}"
        return f"{type(error).__name__}: {error}"
    return len(wave) / RATE


def says_its_length(name, whole, content):
    """Whether the file's length is in it: an MP3 file may have no header left that has it."""
    if not name.startswith("MP3") or len(content) == len(whole):
        return True
    at = max(whole.find(b"Xing", 0, 64), whole.find(b"Info", 0, 64))
    return at >= 0 and content[at : at + 12] == whole[at : at + 12]


def run(folder, count, seed):
    """Damage files, and return what must not be: text for each."""
    rng = np.random.RandomState(seed)
    clips = samples(folder)
    names = list(clips)
    # Those that are refused anyway get a few each, those that are read the rest.
    read = [n for n in names if not isinstance(outcome(n, clips[n], folder), str)]
    wrong, kinds = [], Counter()
    for number in range(count):
        name = names[number % len(names)] if number < 4 * len(names) else read[number % len(read)]
        content = damage(clips[name], rng)
        got = outcome(name, content, folder)
        kinds[got.split(":")[0] if isinstance(got, str) else "read"] += 1
        spare = SPARE.get(name.split("-")[0], 0.0)
        if isinstance(got, str) or not says_its_length(name, clips[name], content):
            continue
        if got < SECONDS - spare - 1e-3:
            wrong.append(f"{name}, damage {number}: {got:.2f} s of {SECONDS}")
    return {"wrong": wrong, "kinds": kinds, "read": read}


@pytest.mark.slow
def test_damaged_audio_is_read_whole_or_refused_by_name(tmp_path):
    # In a process of its own: a decoder that crashes is told, and its file descriptors are known.
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path), str(DAMAGES), "0"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert sum(report["kinds"].values()) == DAMAGES
    assert "unnamed" not in report["kinds"]
    whole = {"WAV", "WAVEX", "RF64", "W64", "FLAC", "MP3", "OGG"}
    assert {name.split("-")[0] for name in report["read"]} == whole
    assert report["kinds"]["read"] > DAMAGES // 20  # damage that is none: the test can fail
    assert report["kinds"]["UnreadableAudioError"] > DAMAGES // 4


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
