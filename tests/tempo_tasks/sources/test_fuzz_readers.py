"""Random damage to every table and JSON file that is read: a result, or an error with its name."""

import json
import random
import shutil

import pytest

from tempo_attn import AttnScaleConfig
from tempo_tasks.audit.training import read_training
from tempo_tasks.data.build.request import Request
from tempo_tasks.data.build.run import build
from tempo_tasks.data.check.run import check_sets, read_labels
from tempo_tasks.data.commands.facts_table import show as show_facts
from tempo_tasks.data.facts import look_into
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources import tacos
from tempo_tasks.sources.captions_and_intervals import read_captions
from tempo_tasks.sources.hub import load_released
from tempo_tasks.sources.intervals import read_intervals
from tempo_tasks.sources.without_audio import load_plain
from tempo_tasks.stats.report import make_report
from tempo_tasks.stats.runs import read_runs
from tempo_tasks.stats.statistics_output import show, write_report
from tests.support.damage import damage, ends_well
from tests.support.released_layout import released_rows, write_beside, write_layout

DAMAGES = 300
FLAT = "filename,label,onset,offset\n" + "".join(
    f"{clip}.wav,{label},{start},{start + 2.5}\n"
    for clip in range(3)
    for start, label in enumerate(["Dog", "Cat", "Rain, heavy", "Bell"])
).replace("Rain, heavy", '"Rain, heavy"')
GROUPED = 'filename,subclass,intervals\n1.wav,Dog,"[0.5-1, 2-3]"\n1.wav,Cat,[4-5]\n2.wav,A,[1-2]\n'
AUTHORS = "filename,question,A,B,C,D,correct_label\n" + "".join(
    f'{n}.wav,{kind.text},Dog,"Rain, heavy",Cat,Bell,{letter}\n'
    for n, (kind, letter) in enumerate(zip(Kind, "ABD", strict=True))
)
CAPTIONS = 'filename,text\n1.wav,"A dog, then a cat"\n2.wav,Rain falls.\n'
METADATA = (
    "filename,sound_link,manufacturer,license,duration,start_time_s,end_time_s\n"
    "1.wav,http://x/1,me,CC0,100,5,35\n2.wav,http://x/2,you,CC-BY,,,\n"
)
CONFIG = {
    "mode": "scale",
    "strength": 0.5,
    "layers": [0, 1],
    "heads": {"1": [0, 2]},
    "queries": "keyword+option",
    "provenance": {"note": "x"},
}


def both_ways(path):
    """Read intervals as they are, and with repairs."""
    try:
        read_intervals(path)
    finally:
        read_intervals(path, repair=True, durations={"1.wav": 4.0})


def checked(path):
    found = load_plain(path, intervals=[path.with_name("times.ok")])
    check_sets([found])


READERS = {
    "flat.csv": (FLAT, both_ways),
    "grouped.csv": (GROUPED, both_ways),
    "captions.csv": (CAPTIONS, read_captions),
    "weak.csv": (CAPTIONS, lambda path: tacos.read_captions(path, repair=True)),
    "metadata_of.csv": (METADATA, tacos.read_metadata),
    "metadata_mended.csv": (METADATA, lambda path: tacos.read_metadata(path, repair=True)),
    "split.csv": ("filename\n1.wav\n2.wav\n", tacos.read_split),
    "mapping.csv": ("text,label\na dog barks,Dog\nrain falls,Rain\n", tacos.read_mapping),
    "strong.csv": (FLAT.replace("label", "text", 1), tacos.read_strong),
    "authors.csv": (AUTHORS, checked),
    "list.txt": ("1.wav\n2.wav\n", read_training),
    "list.csv": ("n,audio_id\n1,1.wav\n2,2.wav\n", read_training),
    "list.json": ('["1.wav", {"audio": {"path": "2.wav"}}, {"id": 3}]', read_training),
    "list.jsonl": ('{"audio_path": ["1.wav"]}\n{"audio_path": "2.wav"}\n', read_training),
    "labels.txt": ("Dog\nCat\n", read_labels),
    "attn_scale_config.json": (json.dumps(CONFIG), AttnScaleConfig.from_pretrained),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*ignored unknown fields")
@pytest.mark.parametrize("name", READERS)
def test_single_files(tmp_path, name):
    content, read = READERS[name]
    path = tmp_path / name
    (tmp_path / "times.ok").write_text(FLAT)
    path.write_text(content)
    read(path)
    draw = random.Random(name)
    results = 0
    for _ in range(DAMAGES):
        damage(path, content.encode(), draw)
        results += ends_well(lambda: read(path), (name,), path.read_bytes())
    assert 0 < results < DAMAGES  # the damage is neither nothing nor everything


# Folders


@pytest.fixture(scope="module")
def rows():
    return released_rows(2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("csv", "metadata.csv"),
        ("csv", "intervals.csv"),
        ("csv", "captions.csv"),
        ("jsonl", "metadata.jsonl"),
        ("parquet", "data/test-00000-of-00002.parquet"),
        ("disk", "dataset_info.json"),
        ("disk", "state.json"),
        ("disk", "data-00000-of-00001.arrow"),
        ("disk_dict", "dataset_dict.json"),
    ],
)
def test_released_folders(tmp_path, rows, layout, file):
    rows = [{k: v for k, v in row.items() if k != "caption"} for row in rows]
    if layout in ("parquet", "disk", "disk_dict"):  # small ones: most damage is to audio else
        rows = [{**row, "audio": {"bytes": b"RIFF", "path": row["filename"]}} for row in rows]
    folder = write_layout(tmp_path / "data", layout, rows)
    write_beside(folder, 2)
    path = folder / file
    whole = path.read_bytes()

    def read():
        for kind in (Kind.EO, Kind.LO):
            try:
                load_released(kind, data=str(folder))
            finally:
                load_plain(folder)

    read()
    draw = random.Random(file)
    results = 0
    for _ in range(DAMAGES // 2):
        damage(path, whole, draw)
        results += ends_well(read, (path.name, folder.name), path.read_bytes())
    assert results < DAMAGES // 2


@pytest.mark.slow
@pytest.mark.parametrize("file", ["manifest.json", "questions.csv", "build.json", "download.json"])
def test_built_folders(tmp_path, file):
    times = tmp_path / "times.csv"
    times.write_text(FLAT)
    audio = tmp_path / "clips"
    audio.mkdir()
    for clip in range(3):
        (audio / f"{clip}.wav").write_bytes(b"sound")
    request = Request(intervals=(times,), margin=0.5, audio=audio, kinds=(Kind.EO, Kind.LO))
    out = tmp_path / "out"
    build(request, out)
    spec = json.loads((out / "manifest.json").read_text())["spec"]
    if file == "build.json":
        (out / "manifest.json").unlink()
        (out / file).write_text(json.dumps(spec))
    if file == "download.json":
        from tempo_tasks.data.fetch import DOWNLOADED

        file = DOWNLOADED
        (out / "manifest.json").unlink()
        (out / file).write_text(json.dumps({"repo": "a/b", "commit": "c", "what": "x"}))
    kept = tmp_path / "kept"
    shutil.copytree(out, kept)
    whole = (out / file).read_bytes()
    draw = random.Random(file)
    for _ in range(DAMAGES // 3):
        damage(out / file, whole, draw)
        given = (out / file).read_bytes()
        for read in (
            lambda: show_facts(str(out), look_into(str(out)).facts),
            lambda: look_into(str(out), verify=True),
            lambda: build(request, out),
        ):
            ends_well(read, (file, out.name), given)
        shutil.rmtree(out)
        shutil.copytree(kept, out)


# Runs of the harness


def samples(kind, right):
    """Lines of a samples file; `right` has "1" for a right answer."""
    for number, mark in enumerate(right):
        clip = f"clip-{number // 2}"
        doc = {
            "id": f"{clip}/{kind}/{number}",
            "clip": clip,
            "cluster": clip,
            "rotation": 0,
            "options": ["Rain", "Siren", "Dog", "Bell"],
            "answer": "A",
            "n_present": 2 + number % 2,
            "margin": 1.0 + number,
            "overlap": 0.1,
            "n_intervals": 1,
        }
        said = "A" if mark == "1" else "B"
        yield {"doc": doc, "filtered_resps": [said], "resps": [[said]], "acc": float(said == "A")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", ["samples", "results"])
def test_runs_of_the_harness(tmp_path, part, capsys):
    date = "2026-11-21T10-00-00.000000"
    tasks = {"tempo_eo_aqa": "1101101101", "tempo_eo_cqa": "0101001101"}
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        for task, right in tasks.items():
            lines = "".join(json.dumps(line) + "\n" for line in samples("eo", right))
            (tmp_path / run / f"samples_{task}_{date}.jsonl").write_text(lines)
        metadata = {"metadata": {"data_fingerprint": "f00d"}}
        results = {
            "config": {"tempo": {"pretrained": "m", "attn_scale": {"sha256": "a", "mode": "b"}}},
            "configs": dict.fromkeys(tasks, metadata),
            "model_name": "m",
        }
        (tmp_path / run / f"results_{date}.json").write_text(json.dumps(results))
    names = {"samples": f"samples_tempo_eo_aqa_{date}.jsonl", "results": f"results_{date}.json"}
    path = tmp_path / "one" / names[part]
    whole = path.read_bytes()

    def read():
        report = make_report(read_runs([str(tmp_path / "one"), str(tmp_path / "two")]))
        show(report)
        write_report(report, tmp_path / "report")

    read()
    draw = random.Random(part)
    results = 0
    for _ in range(DAMAGES // 5):
        damage(path, whole, draw)
        results += ends_well(read, (path.name, "/one"), path.read_bytes())
        capsys.readouterr()
    assert 0 < results < DAMAGES // 5
