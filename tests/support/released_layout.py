"""Write a small folder in the released data set's layout, from rendered scenes.

    python tests/make_released_layout.py FOLDER [parquet|disk|disk_dict|csv|jsonl] [SCENES] [joined]

With `joined`, captions stand in captions.csv and the events' times in intervals.csv beside the
questions, as when they are added to the released files; else captions are a column.

The released data themselves are never copied into this project; this is how the tests, and you,
get a folder that `tempo_*` reads with TEMPO_DATA=FOLDER.
"""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tempo_tasks.questions.questions import Kind, build_questions
from tempo_tasks.sources.synth import LABELS, draw_scene, render
from tempo_tasks.sources.synth.caption import weak_caption
from tempo_tasks.sources.synth.scene import Scene, scene_name, wav_bytes

LAYOUTS = ("parquet", "disk", "disk_dict", "csv", "jsonl")
TASKS = {Kind.EO: "earliest_start", Kind.LO: "latest_end", Kind.LD: "longest_duration"}
SPLIT = "layout"  # of the scenes: neither the training set's nor the test set's


def _drawn(scenes: int) -> list[Scene]:
    return [draw_scene(scene_name(SPLIT, number)) for number in range(scenes)]


def released_rows(scenes: int = 4, *, captions: bool = True) -> list[dict[str, Any]]:
    """Return rows of the released columns, `audio` as {"bytes", "path"}: three for each scene."""
    drawn = _drawn(scenes)
    files = {scene.name: f"{number:05d}.wav" for number, scene in enumerate(drawn)}
    waves = {scene.name: wav_bytes(render(scene)) for scene in drawn}
    captioned = {scene.name: weak_caption(scene.clip) for scene in drawn}
    rows = []
    for kind in Kind:
        for question in build_questions([scene.clip for scene in drawn], kind, labels=LABELS):
            name = files[question.clip_id]
            row = {
                "audio": {"bytes": waves[question.clip_id], "path": name},
                "filename": name,
                "question": question.text,
                **dict(
                    zip(
                        ("option_a", "option_b", "option_c", "option_d"),
                        question.options,
                        strict=True,
                    )
                ),
                "correct_answer": question.answer,
                "correct_text": question.answer_text,
                "task": TASKS[kind],
            }
            rows.append(row | ({"caption": captioned[question.clip_id]} if captions else {}))
    return rows


def write_layout(folder: Path, layout: str, rows: Sequence[dict[str, Any]] | None = None) -> Path:
    """Write rows (default: those of four scenes) as one of `LAYOUTS`; return the folder."""
    rows = list(released_rows() if rows is None else rows)
    folder.mkdir(parents=True, exist_ok=True)
    if layout in ("csv", "jsonl"):
        _write_text(folder, layout, rows)
        return folder

    import datasets

    # As on the Hub: the feature says Audio, so that reading it the usual way would decode.
    table = datasets.Dataset.from_list(rows)
    if rows and isinstance(rows[0].get("audio"), dict):
        table = table.cast_column("audio", datasets.Audio())
    if layout == "parquet":
        (folder / "data").mkdir()
        for number in range(2):
            file = folder / "data" / f"test-{number:05d}-of-00002.parquet"
            table.shard(2, number, contiguous=True).to_parquet(file)
    elif layout == "disk":
        table.save_to_disk(folder)
    elif layout == "disk_dict":
        datasets.DatasetDict({"test": table}).save_to_disk(folder)
    else:
        raise ValueError(f"unknown layout {layout!r}; expected one of {LAYOUTS}")
    return folder


def _write_text(folder: Path, layout: str, rows: list[dict[str, Any]]) -> None:
    """Write audio files into audio/ and a metadata file beside it."""
    (folder / "audio").mkdir(exist_ok=True)
    texts = []
    for row in rows:
        (folder / "audio" / row["filename"]).write_bytes(row["audio"]["bytes"])
        texts.append({**row, "audio": f"audio/{row['filename']}"})
    with (folder / f"metadata.{layout}").open("w", encoding="utf-8", newline="") as file:
        if layout == "jsonl":
            file.writelines(json.dumps(text) + "\n" for text in texts)
        else:
            writer = csv.DictWriter(file, list(texts[0]))
            writer.writeheader()
            writer.writerows(texts)


def write_beside(folder: Path, scenes: int = 4) -> None:
    """Write captions.csv and intervals.csv of the scenes that `released_rows` asks about."""
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "text"])
        for number, scene in enumerate(_drawn(scenes)):
            writer.writerow([f"{number:05d}.wav", weak_caption(scene.clip)])
    with (folder / "intervals.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "subclass", "intervals"])
        for number, scene in enumerate(_drawn(scenes)):
            for event in scene.clip.events:
                spans = ", ".join(f"{start:.2f}-{end:.2f}" for start, end in event.intervals)
                writer.writerow([f"{number:05d}.wav", event.label, f"[{spans}]"])


if __name__ == "__main__":
    arguments = sys.argv[1:]
    joined = "joined" in arguments
    target, chosen, count = (
        *(word for word in arguments if word != "joined"),
        *["parquet", "4"][len(arguments) - joined - 1 :],
    )
    made = write_layout(Path(target), chosen, released_rows(int(count), captions=not joined))
    if joined:
        write_beside(made, int(count))
    print(made)
