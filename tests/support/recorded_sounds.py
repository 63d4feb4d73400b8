"""Small banks of labelled "recordings" in the layouts that are read: synthesised, so known."""

import csv
import json
from pathlib import Path

import numpy as np
import soundfile

from tempo_tasks.sources.synth.scene import seeded
from tempo_tasks.sources.synth.sounds import LABELS, RATE, synthesise

# No two sound alike to `alike.built_in`, and each sounds without long pauses.
SIX = ("Bird Chirp", "Car Horn", "Crickets", "Rain", "Siren", "Whistle")
ONSET, OFFSET, SECONDS = 0.5, 2.0, 2.5


def recording(label, number=0, *, noise=1e-3):
    """A sound from 0.5 to 2.0 s of 2.5 s, over white noise of an RMS 60 dB under full scale."""
    assert label in LABELS, label
    rng = seeded(f"recording/{label}/{number}")
    wave = rng.standard_normal(round(SECONDS * RATE)) * noise
    first, last = round(ONSET * RATE), round(OFFSET * RATE)
    sound = synthesise(label, last - first, rng)
    wave[first:last] += 0.5 * sound / np.abs(sound).max()
    return wave


def write_wav(path, wave, rate=RATE):
    """Write a waveform as 16-bit WAV; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, format="WAV", subtype="PCM_16")
    return path


def write_folder(folder, labels=SIX, each=2):
    """One folder a label."""
    for label in labels:
        for number in range(each):
            path = folder / label.replace(" ", "_") / f"{number}.wav"
            write_wav(path, recording(label, number))
    return folder


def write_rows(path, columns, rows):
    """Write a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def write_esc50(folder, labels=SIX):
    """ESC-50 in small: folds 1 to 5, one recording of each label in each."""
    columns = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
    rows = []
    for target, label in enumerate(labels):
        for fold in range(1, 6):
            name = f"{fold}-{1000 + 10 * target + fold}-A-{target}.wav"
            write_wav(folder / "audio" / name, recording(label, fold))
            category = label.lower().replace(" ", "_")
            small = str(target == 0)
            rows.append((name, fold, target, category, small, 1000 + 10 * target + fold, "A"))
    write_rows(folder / "meta" / "esc50.csv", columns, rows)
    return folder


def write_urban(folder, labels=SIX):
    """UrbanSound8K in small: folds 1 and 10, one recording of each label in each."""
    columns = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
    rows = []
    for target, label in enumerate(labels):
        for fold in (1, 10):
            source = 100 * target + fold
            name = f"{source}-{target}-0-0.wav"
            write_wav(folder / "audio" / f"fold{fold}" / name, recording(label, fold))
            kind = label.lower().replace(" ", "_")
            rows.append((name, source, 0.0, 2.5, 1, fold, target, kind))
    write_rows(folder / "metadata" / "UrbanSound8K.csv", columns, rows)
    return folder


def write_fsd50k(folder, labels=SIX):
    """FSD50K in small: each label below "Sound", one clip of two sounds, infos of the dev set."""
    infos = {}
    for part, number in (("dev", 1), ("eval", 2)):
        rows = []
        for target, label in enumerate(labels):
            name = str(1000 * number + target)
            write_wav(folder / f"FSD50K.{part}_audio" / f"{name}.wav", recording(label, number))
            told = label.replace(" ", "_")
            rows.append((name, f"{told},Sound", "/m/1,/m/2", *(("train",) * (part == "dev"))))
            infos[name] = {"title": "x", "license": "http://cc/by/3.0/", "uploader": f"u{target}"}
        both = ",".join(label.replace(" ", "_") for label in labels[:2])
        mixed = str(1000 * number + 99)
        write_wav(folder / f"FSD50K.{part}_audio" / f"{mixed}.wav", recording(labels[0], 9))
        rows.append((mixed, f"{both},Sound", "/m/1", *(("train",) * (part == "dev"))))
        columns = ("fname", "labels", "mids", *(("split",) * (part == "dev")))
        write_rows(folder / "FSD50K.ground_truth" / f"{part}.csv", columns, rows)
    told = folder / "FSD50K.metadata" / "dev_clips_info_FSD50K.json"
    told.parent.mkdir(parents=True)
    told.write_text(json.dumps(infos))
    return folder


def read_table(path):
    """Rows of a CSV file, as dictionaries."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
