"""The mirrored twin: reversed events, the same prompt, the answer of the rules."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.audio import file_handle, read_audio, reversed_handle
from tempo_tasks.errors import NoMirrorError
from tempo_tasks.prompts import make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.mirror import (
    NO_ANSWER,
    NOT_OFFERED,
    SAME_EVENT,
    mirror_set,
    opposite,
    pair_up,
    reverse_events,
)
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Kind, Question, right_event
from tempo_tasks.scoring import (
    NotAvailable,
    mirror_generation_metrics,
    mirror_likelihood_metrics,
    same_answer,
    same_answer_stderr,
    swap_consistency,
    swap_consistency_stderr,
)
from tempo_tasks.sources.backwards import play_backwards
from tempo_tasks.sources.synth import draw_scene, render, testset
from tempo_tasks.sources.synth import mirrored_scenes as synth_mirror
from tempo_tasks.sources.synth.mirrored_scenes import load_synth_mirror, mirror_scene
from tempo_tasks.sources.synth.scene import MARGIN, Scene, scene_name, wav_bytes
from tests.tempo_tasks.sources.synth.test_scenes import GOLDEN_PCM

SCENES = 6
# Gold: a change here is another benchmark, as in test_synth_scenes.
GOLDEN_TWIN_PCM = "da1deded12786220e1d8a1f4c45536f79ad61d3edf4fd6fe551d99f288614bc8"
GOLDEN_FINGERPRINTS = {"eo": "00158f851b091a15", "lo": "0d6ab30de1612166"}
RATE = 16_000

# By hand. Rain starts first (0.5), the siren ends last (9.25); the dog is neither.
HEARD = Scene(
    "by hand",
    Clip(
        "by hand",
        (
            Event("Siren", ((2.0, 3.1), (8.07, 9.25))),
            Event("Rain", ((0.5, 4.0),)),
            Event("Dog Barking", ((3.33, 6.0),)),
        ),
    ),
    levels=(-3.0, -2.0, -1.0),  # dog, rain, siren: by label
    background=-30.0,
)


def question(kind, answer, options=("Rain", "Siren", "Wind", "Piano"), clip="by hand"):
    return Question(f"{clip}/{kind.value}", clip, kind, options, answer)


def questions_about(*asked, **audio):
    handles = {q.clip_id: {"path": "x", "sha256": q.clip_id, "silence": False} for q in asked}
    return QuestionSet("set", asked, handles, {})


# Scenes


def test_intervals_are_mirrored_to_the_centisecond_and_nothing_else_changes():
    twin = mirror_scene(HEARD)
    assert twin.clip.events == (
        Event("Dog Barking", ((4.0, 6.67),)),
        Event("Rain", ((6.0, 9.5),)),
        Event("Siren", ((0.75, 1.93), (6.9, 8.0))),
    )
    assert (twin.levels, twin.background) == (HEARD.levels, HEARD.background)
    assert twin.name == twin.clip.id == "by hand/mirror"


def test_first_and_last_change_places_and_the_longest_stays():
    twin = mirror_scene(HEARD).clip
    assert right_event(twin, Kind.EO, MARGIN).label == "Siren"
    assert right_event(twin, Kind.LO, MARGIN).label == "Rain"
    for number in range(200):
        clip = draw_scene(scene_name("check", number)).clip
        mirrored = mirror_scene(draw_scene(scene_name("check", number))).clip
        for kind, other in [(Kind.EO, Kind.LO), (Kind.LO, Kind.EO), (Kind.LD, Kind.LD)]:
            right = right_event(mirrored, kind, MARGIN)
            assert right.label == right_event(clip, other, MARGIN).label


def test_a_mirror_of_a_mirror_is_the_scene():
    for number in range(200):
        scene = draw_scene(scene_name("check", number))
        assert mirror_scene(mirror_scene(scene)).clip.events == scene.clip.events


def test_the_twin_has_a_render_of_its_own_and_the_scene_keeps_its_bytes():
    scene = draw_scene(scene_name("test", 0))
    twin = wav_bytes(render(mirror_scene(scene)))
    assert hashlib.sha256(twin).hexdigest() == GOLDEN_TWIN_PCM
    assert hashlib.sha256(wav_bytes(render(scene))).hexdigest() == GOLDEN_PCM


def test_the_sounds_of_a_twin_stand_in_its_intervals():
    twin = replace(mirror_scene(HEARD), background=-np.inf)
    wave = render(twin)
    inside = np.zeros(wave.size, dtype=bool)
    for event in twin.clip.events:
        for start, end in event.intervals:
            inside[round(start * RATE) : round(end * RATE)] = True
    assert not wave[~inside].any()
    assert wave[round(0.75 * RATE) : round(0.85 * RATE)].any()


# Pairs


def test_a_pair_is_the_same_question_with_another_answer():
    asked = question(Kind.EO, "A")
    (pair,), left_out = pair_up([asked], lambda q: "Siren")
    assert pair.original is asked
    assert pair.id == asked.id
    assert pair.twin == replace(asked, id="by hand/eo/mirror", answer="B")
    assert make_prompt(pair.twin, Condition.MIRROR, audio={}).text == (
        make_prompt(asked, Condition.AQA, audio={}).text
    )
    assert not any(left_out.values())


def test_questions_without_a_twin_are_counted_by_reason():
    labels = {"none": None, "same": "Rain", "else": "Dog Barking", "good": "Piano"}
    asked = [question(Kind.LO, "A", clip=name) for name in labels]
    pairs, left_out = pair_up(asked, lambda q: labels[q.clip_id])
    assert [pair.id for pair in pairs] == ["good/lo"]
    assert left_out == {NO_ANSWER: 1, SAME_EVENT: 1, NOT_OFFERED: 1}
    found = mirror_set(
        questions_about(*asked), lambda q: labels[q.clip_id], {"good": {"sha256": "x"}}, "by hand"
    )
    assert found.describe() == {"form": "by hand", "pairs": 1, "left_out": left_out}
    assert set(found.originals.audio) == {"good"}


def test_no_pair_at_all_is_an_error():
    asked = questions_about(question(Kind.EO, "A"))
    with pytest.raises(NoMirrorError, match=r"none of 1 questions.*one_event_is_first_and_last"):
        mirror_set(asked, lambda q: "Rain", {}, "by hand")


def test_longest_duration_has_no_twin():
    assert (opposite(Kind.EO), opposite(Kind.LO)) == (Kind.LO, Kind.EO)
    with pytest.raises(NoMirrorError, match="choose eo or lo"):
        load_synth_mirror(Kind.LD, scenes=SCENES)


# The rendered set


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPO_CACHE", str(tmp_path))
    for function in (testset._audio, synth_mirror._twin_audio):
        function.cache_clear()
    yield tmp_path
    for function in (testset._audio, synth_mirror._twin_audio):
        function.cache_clear()


def test_twins_have_a_folder_of_their_own_that_is_rendered_once(fresh_cache, monkeypatch):
    first = load_synth_mirror(Kind.EO, scenes=SCENES)
    folders = {path.name: path for path in (fresh_cache / "synth").iterdir() if path.is_dir()}
    assert set(folders) == {f"1-test-{SCENES}", f"1-test-{SCENES}-mirror"}
    names = {path.name for path in folders[f"1-test-{SCENES}-mirror"].glob("*.wav")}
    assert names == {f"{number:05d}-mirror.wav" for number in range(SCENES)}
    files = {
        pair: [
            part.audio[pair.original.clip_id]["sha256"] for part in (first.originals, first.twins)
        ]
        for pair in first.pairs
    }
    assert all(len(set(hashes)) == 2 for hashes in files.values())
    testset._audio.cache_clear()
    synth_mirror._twin_audio.cache_clear()
    monkeypatch.setattr(testset, "_render_folder", None)  # would raise if called
    again = load_synth_mirror(Kind.EO, scenes=SCENES)
    assert again.fingerprint == first.fingerprint
    assert again.name == f"tempo-synth-1[:{SCENES}]"


def test_a_damaged_twin_is_rendered_anew(fresh_cache):
    before = load_synth_mirror(Kind.LO, scenes=SCENES)
    file = next(fresh_cache.rglob("*-mirror.wav"))
    file.write_bytes(file.read_bytes()[:1000])
    testset._audio.cache_clear()
    synth_mirror._twin_audio.cache_clear()
    assert load_synth_mirror(Kind.LO, scenes=SCENES).fingerprint == before.fingerprint


def test_the_pairs_of_the_benchmark_are_fixed(monkeypatch):
    """A change here is another benchmark; docs/mirror.md has the counts."""
    handles = {s.name: {"sha256": s.name} for s in testset.draw_test_scenes(400)}
    monkeypatch.setattr(testset, "_audio", lambda scenes: handles)
    monkeypatch.setattr(synth_mirror, "_twin_audio", lambda scenes: handles)
    found = {kind.value: load_synth_mirror(kind) for kind in (Kind.EO, Kind.LO)}
    assert {kind: pairs.describe() for kind, pairs in found.items()} == {
        "eo": {
            "form": "rendered in reverse order",
            "pairs": 351,
            "left_out": {NO_ANSWER: 0, SAME_EVENT: 31, NOT_OFFERED: 18},
        },
        "lo": {
            "form": "rendered in reverse order",
            "pairs": 347,
            "left_out": {NO_ANSWER: 0, SAME_EVENT: 31, NOT_OFFERED: 22},
        },
    }
    assert {kind: pairs.fingerprint[:16] for kind, pairs in found.items()} == GOLDEN_FINGERPRINTS


# Recordings


@pytest.fixture
def clip(tmp_path):
    """A recording at 44.1 kHz in stereo: noise that grows louder."""
    rng = np.random.RandomState(0)
    wave = np.linspace(0.01, 0.5, 30_001)[:, None] * rng.uniform(-1, 1, (30_001, 2))
    soundfile.write(tmp_path / "clip.wav", wave, 44_100)
    return file_handle(tmp_path / "clip.wav")


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_reversed_is_the_same_wave_flipped_to_the_last_bit(clip, rate):
    forward, backward = read_audio(clip, rate), read_audio(reversed_handle(clip), rate)
    assert np.array_equal(backward, forward[::-1])
    assert not np.array_equal(backward, forward)
    assert backward.dtype == np.float32
    assert backward.flags["C_CONTIGUOUS"]


def test_a_handle_without_the_key_and_one_that_denies_it_are_heard_forward(clip):
    assert "reversed" not in clip
    assert np.array_equal(read_audio({**clip, "reversed": False}, RATE), read_audio(clip, RATE))


def test_silence_reversed_is_silence_of_the_same_length(clip):
    silence = read_audio({**reversed_handle(clip), "silence": True}, RATE)
    assert len(silence) == len(read_audio(clip, RATE))
    assert not silence.any()


def test_the_answer_backwards_is_that_of_the_other_question_on_the_clip():
    asked = questions_about(
        question(Kind.EO, "A", clip="good"),
        question(Kind.EO, "A", clip="alone"),
        question(Kind.EO, "A", clip="same"),
        question(Kind.EO, "A", clip="torn"),
    )
    one = question(Kind.LO, "C", ("Piano", "Wind", "Siren", "Car Horn"), clip="good")
    same = question(Kind.LO, "A", clip="same")
    torn = question(Kind.LO, "B", clip="torn")
    other = questions_about(one, same, torn, replace(torn, id="torn/lo/1", answer="C"))
    found = play_backwards(asked, other)
    (pair,) = found.pairs
    assert pair.twin == replace(pair.original, id="good/eo/mirror", answer="B")
    assert found.left_out == {NO_ANSWER: 2, SAME_EVENT: 1, NOT_OFFERED: 0}
    assert found.twins.audio == {"good": {**found.originals.audio["good"], "reversed": True}}
    assert found.form == "time-reversed audio"


def test_a_fingerprint_tells_forwards_from_backwards():
    forward = questions_about(question(Kind.EO, "A"))
    handle = forward.audio["by hand"]
    backward = replace(forward, audio={"by hand": reversed_handle(handle)})
    assert backward.fingerprint != forward.fingerprint
    assert replace(forward, audio={"by hand": {**handle}}).fingerprint == forward.fingerprint


# Metrics

OPTIONS = ["Rain", "Siren", "Wind", "Piano"]


def generated(pair, clip, *texts):
    """The items of a pair whose right answers are A, then B; one text for each document asked."""
    return [
        mirror_generation_metrics(
            {"options": OPTIONS, "answer": answer, "pair": pair, "clip": clip}, [text]
        )
        for answer, text in zip("AB", texts, strict=False)
    ]


def score(documents):
    return {
        name: function([document[name] for document in documents])
        for name, function in [
            ("swap_consistency", swap_consistency),
            ("swap_consistency_stderr", swap_consistency_stderr),
            ("same_answer", same_answer),
            ("same_answer_stderr", same_answer_stderr),
        ]
    }


@pytest.mark.parametrize(
    ("texts", "swap", "same"),
    [
        (("A", "B"), 1.0, 0.0),
        (("Rain", "B. Siren"), 1.0, 0.0),
        (("A", "A"), 0.0, 1.0),  # right once, and deaf
        (("C", "Wind"), 0.0, 1.0),
        (("B", "A"), 0.0, 0.0),  # hears the order, takes first for last
        (("A", "C"), 0.0, 0.0),
        (("A", "?"), 0.0, 0.0),
        (("?", "?"), 0.0, 0.0),  # the same failure is not the same answer
    ],
)
def test_the_metrics_of_one_pair(texts, swap, same):
    found = score(generated("p", "c", *texts))
    assert (found["swap_consistency"], found["same_answer"]) == (swap, same)
    assert found["swap_consistency_stderr"] == found["same_answer_stderr"] == "N/A"


def test_the_metrics_of_several_pairs():
    documents = [
        *generated("p1", "c1", "A", "B"),
        *generated("p2", "c2", "A", "A"),
        *generated("p3", "c3", "A", "?"),
        *generated("p4", "c4", "A", "B"),
        *generated("p5", "c5", "A"),  # cut: right, and in neither metric
    ]
    found = score(documents)
    assert (found["swap_consistency"], found["same_answer"]) == (2 / 4, 1 / 4)
    # One pair a clip: the ordinary errors, with n - 1 = 3 below.
    assert found["swap_consistency_stderr"] == pytest.approx((0.5 * 0.5 / 3) ** 0.5)
    assert found["same_answer_stderr"] == pytest.approx((0.25 * 0.75 / 3) ** 0.5)
    assert score(documents[::-1]) == found  # as several processes may hand them over
    assert sum(document["acc"] for document in documents) == 7
    assert documents[0]["acc_stderr"] == ("c1", 1.0)
    assert documents[5]["parse_failure"] == 1.0


def test_pairs_of_one_clip_are_one_cluster():
    two_clips = [*generated("p1", "c1", "A", "B"), *generated("p2", "c2", "A", "A")]
    one_more = [*two_clips, *generated("p3", "c1", "A", "B")]
    # Residuals sum to 2/3 in c1 and -2/3 in c2: sqrt(2 * 2 * (2/3)^2) / 3.
    assert score(one_more)["swap_consistency_stderr"] == pytest.approx(4 / 9)


def test_without_a_pair_there_is_nothing_to_say():
    found = score(generated("p1", "c1", "A"))
    assert found == dict.fromkeys(found, "N/A")


def test_not_available_outlasts_an_average():
    value = score(generated("p1", "c1", "A"))["swap_consistency"]
    assert sum(v * 1 for v in (0.5, value)) / 2 == sum(v * 1 for v in (value, 0.5)) / 2 == "N/A"
    assert isinstance(value, NotAvailable)


def likely(pair, *rows):
    return [
        mirror_likelihood_metrics(
            {"options": OPTIONS, "answer": answer, "pair": pair, "clip": pair},
            [(value, False) for value in row],
        )
        for answer, row in zip("AB", rows, strict=True)
    ]


def test_likelihoods_give_the_same_metrics_and_a_tie_is_no_answer():
    a, b, tie = (-1.0, -2.0, -3.0, -4.0), (-2.0, -1.0, -3.0, -4.0), (-1.0, -1.0, -3.0, -4.0)
    assert score(likely("p", a, b))["swap_consistency"] == 1.0
    assert score(likely("p", a, a))["same_answer"] == 1.0
    tied = likely("p", tie, tie)
    assert (score(tied)["swap_consistency"], score(tied)["same_answer"]) == (0.0, 0.0)
    assert [document["acc"] for document in tied] == [0.5, 0.5]  # shared, as in every other task


@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.integers(1, 300)).map(lambda t: (t[0], t[0] + t[1])),
        min_size=2,
        max_size=5,
    )
)
def test_reversed_events_lead_as_those_of_the_opposite_kind(spans):
    clip = Clip(
        "clip",
        tuple(Event(str(n), ((start / 100, end / 100),)) for n, (start, end) in enumerate(spans)),
    )
    twin = reverse_events(clip)
    for one, other in zip(clip.events, clip.events[1:], strict=False):
        mirrored = {event.label: event for event in twin.events}
        a, b = mirrored[one.label], mirrored[other.label]
        assert Kind.EO.lead(a, b) == pytest.approx(Kind.LO.lead(one, other))
        assert Kind.LD.lead(a, b) == pytest.approx(Kind.LD.lead(one, other))
