"""The rendered test set in the cache: fixed, whole or absent, safe for two processes."""

import json
import multiprocessing
from pathlib import Path

import pytest

from tempo_tasks.audio import read_audio
from tempo_tasks.questions.questions import Kind, fingerprint
from tempo_tasks.sources.synth import testset
from tempo_tasks.sources.synth.scene import draw_scene, scene_name

SCENES = 6


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPO_CACHE", str(tmp_path))
    testset._audio.cache_clear()
    yield tmp_path
    testset._audio.cache_clear()


def test_the_benchmark_has_400_questions_a_kind_with_balanced_letters(monkeypatch):
    monkeypatch.setattr(testset, "_audio", lambda scenes: {})
    for kind in Kind:
        questions = testset.load_synth(kind).questions
        assert len(questions) == 400
        assert {
            letter: [q.answer for q in questions].count(letter) for letter in "ABCD"
        } == dict.fromkeys("ABCD", 100)
        # Every question tests time: at least three options occur in its clip.
        assert min(q.n_present for q in questions) >= 3


def test_the_questions_are_fixed(monkeypatch):
    """A change here is another benchmark: raise SCENE_VERSION."""
    monkeypatch.setattr(testset, "_audio", lambda scenes: {})
    assert {kind.value: fingerprint(testset.load_synth(kind).questions)[:16] for kind in Kind} == {
        "eo": "7418d1416565628c",
        "lo": "3e3c37659c405015",
        "ld": "18f9bae3a52f2d77",
    }


def test_the_test_split_shares_no_scene_with_the_training_split():
    test = {draw_scene(scene_name("test", n)).clip.events for n in range(400)}
    train = {draw_scene(scene_name("train", n)).clip.events for n in range(400)}
    assert not test & train


def test_first_use_renders_and_later_uses_read(fresh_cache, monkeypatch):
    first = testset.load_synth(Kind.EO, scenes=SCENES)
    assert len(read_audio(first.audio[first.questions[0].clip_id], 16000)) == 160_000
    testset._audio.cache_clear()
    monkeypatch.setattr(testset, "_render_folder", None)  # would raise if called
    again = testset.load_synth(Kind.EO, scenes=SCENES)
    assert again.fingerprint == first.fingerprint
    assert again.name == f"tempo-synth-1[:{SCENES}]"


def test_a_damaged_cache_is_rendered_anew(fresh_cache):
    before = testset.load_synth(Kind.LO, scenes=SCENES)
    files = sorted(fresh_cache.rglob("*.wav"))
    files[0].write_bytes(files[0].read_bytes()[:1000])
    files[1].unlink()
    testset._audio.cache_clear()
    after = testset.load_synth(Kind.LO, scenes=SCENES)
    assert after.fingerprint == before.fingerprint
    assert len(sorted(fresh_cache.rglob("*.wav"))) == SCENES


@pytest.mark.parametrize(
    "damaged",
    [
        lambda index: index[:40],
        lambda index: b"[" * 100_000,
        lambda index: json.dumps(list(json.loads(index))).encode(),
        lambda index: json.dumps(dict.fromkeys(json.loads(index), 1)).encode(),
        lambda index: index.replace(b'"file"', b'"none"'),
    ],
)
def test_a_damaged_index_is_written_anew(fresh_cache, damaged):
    testset.load_synth(Kind.LO, scenes=SCENES)
    (path,) = fresh_cache.rglob("index.json")
    whole = path.read_bytes()
    path.write_bytes(damaged(whole))
    testset._audio.cache_clear()
    testset.load_synth(Kind.LO, scenes=SCENES)
    assert path.read_bytes() == whole


def _load(cache: str, barrier, queue) -> None:
    import os

    os.environ["TEMPO_CACHE"] = cache
    barrier.wait()
    queue.put(testset.load_synth(Kind.EO, scenes=SCENES).fingerprint)


def test_two_processes_at_once_get_the_same_whole_set(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=_load, args=(str(tmp_path), barrier, queue)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    prints = {queue.get(timeout=120) for _ in processes}
    for process in processes:
        process.join(30)
    assert len(prints) == 1
    folders = [path for path in (Path(tmp_path) / "synth").iterdir() if path.is_dir()]
    assert [folder.name for folder in folders] == [f"1-test-{SCENES}"]
