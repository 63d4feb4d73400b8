"""Made-up copies of other people's benchmarks: their documented columns, over rendered clips.

Nothing of the benchmarks themselves is here. TREA's copy has the leaks that are known of it.
"""

import csv
import json
from pathlib import Path
from typing import Any

from tempo_tasks.sources.synth import LABELS, draw_scene, render
from tempo_tasks.sources.synth.scene import Scene, scene_name, wav_bytes

LETTERS = "ABCD"
SEVENTH = """\
name: doors
about: Yes or no about doors.
get: ask me
audio: file
question: text
options: choices
answer: right
files: [doors.jsonl]
parts:
  all: {}
"""


def scenes(count: int) -> list[Scene]:
    """Scenes that stand in no other set."""
    return [draw_scene(scene_name("others", number)) for number in range(count)]


def sounds_of(scene: Scene) -> list[str]:
    """The scene's labels in the order in which they start."""
    return [event.label for event in sorted(scene.clip.events, key=lambda event: event.onset)]


def write_clip(path: Path, scene: Scene) -> None:
    """Render a scene into a WAV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav_bytes(render(scene)))


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _snake(label: str) -> str:
    return label.lower().replace(" ", "_")


def _four(right: str, wrong: list[str], place: int) -> dict[str, Any]:
    options = [*wrong[:place], right, *wrong[place:]]
    columns = {f"option{letter}": option for letter, option in zip(LETTERS, options, strict=True)}
    return {**columns, "correct": LETTERS[place]}


def trea(folder: Path, count: int = 8) -> Path:
    """TREA: its three tables, each with a leak.

    order: the right option alone is in lower case, and item 1 offers the answer twice. duration: of
    the even items only the right option occurs in the clip.
    """
    root = folder / "TREA_dataset"
    order, counts, duration = [], [], []
    for number, scene in enumerate(scenes(count)):
        heard = sounds_of(scene)
        absent = [label for label in LABELS if label not in heard]
        for task in ("order", "count", "duration"):
            write_clip(root / task / "audios" / f"{number}.wav", scene)
        first = heard[0]
        wrong = [label.capitalize() for label in absent[:3]]
        if number == 1:
            wrong[0] = first.capitalize()
        order.append(
            {
                "id": number,
                "question": "Which sound event occurs first?",
                "audio_path": f"TREA_dataset/order/audios/{number}.wav",
                **_four(_snake(first), wrong, number % 4),
                "source_wavs": str([f"ESC-50-master/audio/{label}.wav" for label in heard]),
                "source_categories": str([_snake(label) for label in heard]),
            }
        )
        right = str(len(heard))
        counts.append(
            {
                "question": "How many different types of sounds can be identified?",
                "id": number,
                "audio_path": f"TREA_dataset/count/audios/{number}.wav",
                **_four(right, [str(n) for n in range(1, 8) if str(n) != right][:3], number % 4),
                "source_wavs": str(heard),
                "source_categories": str([_snake(label) for label in heard]),
            }
        )
        longest = max(scene.clip.events, key=lambda event: event.duration).label
        others = [label for label in heard if label != longest]
        wrong = absent[:3] if number % 2 == 0 else (others + absent)[:3]
        duration.append(
            {
                "id": number,
                "audio_path": f"TREA_dataset/duration/audios/{number}.wav",
                "question": "Which of these sounds has the longest duration?",
                **_four(_snake(longest), [_snake(label) for label in wrong], number % 4),
                "ordering_method": "consec" if number % 2 else "random",
                "audioabsent_optionspresent_num": 3 if number % 2 == 0 else 2,
                "audiopath_list": str(heard),
                "cat_mapping": str({_snake(label): "x.wav" for label in heard}),
            }
        )
    for task, rows in (("order", order), ("count", counts), ("duration", duration)):
        write_csv(root / task / f"{task}_with_metadata.csv", rows)
    return folder


def mmau(folder: Path) -> Path:
    """MMAU's test-mini as on GitHub: choices as a list, the answer as text, two to four options."""
    rows = []
    for number, scene in enumerate(scenes(6)):
        heard = sounds_of(scene)
        task = ("sound", "music", "speech")[number % 3]
        options = [*heard, *(label for label in LABELS if label not in heard)][: 2 + number % 3]
        write_clip(folder / "test-mini-audios" / f"clip-{number}.wav", scene)
        rows.append(
            {
                "id": f"clip-{number}",
                "audio_id": f"./test-mini-audios/clip-{number}.wav",
                "question": "Which sound starts first?",
                "choices": options,
                "answer": options[0],
                "dataset": "Made-up",
                "task": task,
                "split": "test-mini",
                "category": "Reasoning",
                "sub-category": "Order" if number % 2 else "Time",
                "difficulty": "easy",
            }
        )
    (folder / "mmau-test-mini.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def mmau_parquet(folder: Path) -> Path:
    """The same as on the Hub: choices as JSON text, audio as bytes, two splits."""
    import datasets

    rows = json.loads((mmau(folder / "json") / "mmau-test-mini.json").read_text())
    for row in rows:
        file = folder / "json" / row.pop("audio_id")
        row["audio"] = {"bytes": file.read_bytes(), "path": file.name}
        row["choices"] = json.dumps(row["choices"])
    hub = folder / "hub"
    (hub / "data").mkdir(parents=True)
    for split in ("test_mini", "test"):
        table = datasets.Dataset.from_list(rows[:3] if split == "test" else rows)
        table.to_parquet(hub / "data" / f"{split}-00000-of-00001.parquet")
    return hub


ORDERS = [
    f"clip {a} -> clip {b} -> clip {c}"
    for a, b, c in ((1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1))
]


def starbench(folder: Path) -> Path:
    """STAR-Bench's temporal part: three clips in true order, six options, no answer."""
    rows = []
    drawn = scenes(6)
    for number, subtask in enumerate(("OSM", "ETC")):
        paths = []
        for place in range(3):
            path = f"starbench_audios/{subtask}_{number}/seg_{place + 1}.wav"
            write_clip(folder / path, drawn[3 * number + place])
            paths.append(path)
        rows.append(
            {
                "id": f"temporal_reasoning_{subtask}_{number + 3}",
                "task": "temporal",
                "category": "Continuous Process" if number else "Discrete Event",
                "sub-category": subtask,
                "question": "Put the three clips into the order in which they were recorded.",
                "options": ORDERS,
                "audio_paths": paths,
                "global_caption": "Made up.",
                "uncut_audio_path": "none.wav",
            }
        )
    file = folder / "meta_info" / "holistic_reasoning_temporal.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(rows), encoding="utf-8")
    return folder


def tempbench(folder: Path) -> Path:
    """TempBench: JSON lines, options as objects, two of them."""
    lines = []
    for number, scene in enumerate(scenes(4)):
        first, second = sounds_of(scene)[:2]
        path = f"synthetic/time/easy/{number}.wav"
        write_clip(folder / "data" / "audio" / path, scene)
        right = number % 2
        texts = [second, first] if right else [first, second]
        lines.append(
            {
                "id": f"synth_time_easy_{number:06d}",
                "task": "synthetic_mcq_benchmark",
                "task_id": "MCQ-SYNTH",
                "audio_filename": path,
                "question": "Which sound starts first?",
                "options": [
                    {"key": text, "text": text, "type": "event", "label": label}
                    for label, text in zip("AB", texts, strict=True)
                ],
                "answer_label": "AB"[right],
                "answer_text": first,
                "benchmark_family": "time",
                "difficulty": "easy",
                "question_template": "starts_first",
                "scene": {"events": [{"text": t, "onset": 0.4} for t in (first, second)]},
            }
        )
    (folder / "data" / "mcq_synth_benchmark.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    return folder


def abstime(folder: Path, count: int = 12) -> Path:
    """Times of sounds: the right one is the earliest option of the first table, as it often is."""
    starts, ends = [], []
    for number, scene in enumerate(scenes(count)):
        write_clip(folder / "audio" / f"{number}.wav", scene)
        event = scene.clip.events[0]
        for rows, right, word in ((starts, event.onset, "start"), (ends, event.offset, "end")):
            wrong = [round(right + 2.5 * step, 2) for step in (1, 2, 3)]
            place = number % 4
            options = [*wrong[:place], round(right, 2), *wrong[place:]]
            rows.append(
                {
                    "filename": f"{number}.wav",
                    "sound_event": event.label,
                    "question": f"When does {event.label} {word} (in seconds)?",
                    **dict(zip(LETTERS, options, strict=True)),
                    "correct_label": LETTERS[place],
                    "correct_time": round(right, 2),
                }
            )
    write_csv(folder / "datasets" / "absolute_eval" / "earliest_start_mcq.csv", starts)
    write_csv(folder / "datasets" / "absolute_eval" / "latest_end_mcq.csv", ends)
    return folder
