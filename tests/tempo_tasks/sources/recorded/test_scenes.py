"""Placement and mixing: intervals are filled exactly, and no label has a place of its own."""

import itertools

import numpy as np
import pytest

from tempo_attn.errors import OptionError
from tempo_tasks.errors import PlacementError
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import Kind, right_event
from tempo_tasks.sources.recorded.backgrounds import COLOURS, behind, noise
from tempo_tasks.sources.recorded.envelope import joined, levels, loudest, runs
from tempo_tasks.sources.recorded.listening import Burst
from tempo_tasks.sources.recorded.mixing import PEAK, copies, render
from tempo_tasks.sources.recorded.scenes import (
    Bank,
    RecordedScene,
    Source,
    Style,
    draw_quartet,
    draw_scene,
    draw_source,
    mirror_scene,
    most_at_once,
)

RATE = 16_000
LABELS = [f"sound {name}" for name in ("one", "two", "three", "four", "five", "six")]
BANK = Bank(
    {label: [(f"{label}.wav", [Burst(5, bytes(100))])] for label in LABELS},
    {LABELS[0]: frozenset({LABELS[1]}), LABELS[1]: frozenset({LABELS[0]})},
)


def style(**changes):
    given = {
        "seconds": 10.0,
        "events": (3, 5),
        "repeats": 3,
        "levels": (10.0, 25.0),
        "background": "pink",
        "max_overlap": None,
        "closes": 30.0,
        "join": 0.25,
    }
    return Style(**{**given, **changes})


@pytest.mark.parametrize("length", [160, 1000, 4000, 7999, 8000, 8001, 20_000])
@pytest.mark.parametrize("wanted", [9600, 16_000, 79_999, 240_000])
def test_an_interval_is_filled_from_its_first_to_its_last_sample(wanted, length):
    placed = copies(wanted, length, 4000, 480)
    assert placed[0][0] == 0
    assert sum(placed[-1]) == wanted
    assert all(0 < size <= length for _, size in placed)
    pauses = [b[0] - sum(a) for a, b in itertools.pairwise(placed)]
    assert all(479 <= pause <= 4000 for pause in pauses)


def test_a_scene_has_a_right_answer_and_no_two_labels_alike():
    for number in range(40):
        scene = draw_scene(f"x/{number}", BANK, style())
        assert all(right_event(scene.clip, kind, 1.0) for kind in Kind)
        assert not {LABELS[0], LABELS[1]} <= scene.clip.labels
        assert 3 <= len(scene.clip.events) == len(scene.sources) <= 5
        assert all(event.offset <= 10.0 for event in scene.clip.events)


def test_a_scene_depends_on_its_name_alone():
    assert draw_scene("a", BANK, style()) == draw_scene("a", BANK, style())
    assert draw_scene("a", BANK, style()).clip.events != draw_scene("b", BANK, style()).clip.events


def test_options_of_placement_are_kept():
    for number in range(15):
        scene = draw_scene(
            f"o/{number}", BANK, style(seconds=30.0, events=(3, 3), repeats=1, max_overlap=1)
        )
        spans = [event.intervals for event in scene.clip.events]
        assert most_at_once(spans) == 1
        assert [len(each) for each in spans] == [1, 1, 1]
        assert all(10 <= source.over <= 25 for source in scene.sources)


def test_what_finds_no_place_is_an_error_that_says_what_to_change():
    with pytest.raises(PlacementError, match="larger --max-overlap"):
        draw_scene("x", _many(8), style(events=(8, 8), max_overlap=1))
    with pytest.raises(OptionError, match="6 events need 6 labels of which no two sound alike"):
        draw_scene("x", BANK, style(events=(6, 6)))


def _many(count):
    names = [f"n{number}" for number in range(count)]
    return Bank({name: [(f"{name}.wav", [Burst(0, bytes(50))])] for name in names}, {})


def test_most_at_once():
    assert most_at_once([[(0, 1), (2, 3)], [(1, 2)]]) == 1
    assert most_at_once([[(0, 2)], [(1, 3)], [(1.5, 1.6)]]) == 3


@pytest.mark.parametrize("number", range(4))
def test_each_label_of_a_quartet_is_right_once_and_sounds_the_same(number):
    four = draw_quartet(f"q/{number}", number, BANK, style())
    for kind in Kind:
        right = [right_event(scene.clip, kind, 1.0).label for scene in four]
        assert sorted(right) == sorted(four[0].clip.labels)
    assert len({scene.sources for scene in four}) == 1
    assert len({scene.background for scene in four}) == 1
    assert len({scene.clip.events for scene in four}) == 4


def test_a_twin_has_the_opposite_answer():
    for number in range(20):
        scene = draw_scene(f"m/{number}", BANK, style())
        twin = mirror_scene(scene, 10.0)
        assert right_event(twin.clip, Kind.EO, 1.0).label == (
            right_event(scene.clip, Kind.LO, 1.0).label
        )
        assert mirror_scene(twin, 10.0).clip.events == scene.clip.events
        assert twin.sources == scene.sources


def test_louder_events_are_used_further_down():
    fading = Bank({"a": [("a.wav", [Burst(0, bytes(range(100)))])]}, {})
    for over, frames in ((10, 17), (20, 27), (40, 31)):
        scene = draw_source(np.random.RandomState(0), fading, "a", style(levels=(over, over)))
        assert scene.frames == frames
    silent = draw_source(
        np.random.RandomState(0), fading, "a", style(levels=(10, 10), background="none")
    )
    assert silent.frames == 31


def _scene(over, *spans):
    clip = Clip("x", (Event("a", spans),))
    return RecordedScene("x", clip, (Source("a.wav", 0, 100, over),), "x")


def test_rendered_events_sound_in_their_intervals_and_nowhere_else():
    wave = 0.3 * np.random.RandomState(0).standard_normal(RATE).astype(np.float32)
    scene = _scene(20.0, (1.0, 1.7), (3.0, 6.5))
    mix = render(scene, RATE, 10.0, 0.25, lambda _: wave, np.zeros(10 * RATE))
    sounds = joined(runs(levels(mix.astype(np.float32), RATE) > -60), 0.25)
    assert sounds == [(100, 170), (300, 650)]
    assert np.abs(mix).max() == pytest.approx(PEAK)


@pytest.mark.parametrize("over", [0.0, 10.0, 25.0])
def test_an_event_is_as_loud_over_the_background_as_its_level_says(over):
    wave = np.sin(np.arange(RATE) * 0.3).astype(np.float32)
    behind_it = noise("white", "n", 10 * RATE, RATE)
    scene = _scene(over, (1.0, 2.0))
    alone = render(scene, RATE, 10.0, 0.25, lambda _: wave, np.zeros(10 * RATE))
    mixed = render(scene, RATE, 10.0, 0.25, lambda _: wave, behind_it)
    scale = mixed[5 * RATE] / behind_it[5 * RATE]
    event = (mixed - scale * behind_it).astype(np.float32)
    background = 20 * np.log10(scale)  # its RMS is 1
    assert loudest(levels(event, RATE)) - background == pytest.approx(over, abs=0.1)
    assert np.corrcoef(event, alone)[0, 1] > 0.999


@pytest.mark.parametrize("colour", COLOURS)
def test_noise_has_its_colour(colour):
    wave = noise(colour, "n", 10 * RATE, RATE)
    assert np.sqrt((wave**2).mean()) == pytest.approx(1.0)
    power = np.abs(np.fft.rfft(wave)) ** 2
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE)
    low, high = (power[(hertz > f) & (hertz < 1.2 * f)].mean() for f in (100, 3200))
    octaves = 10 * np.log10(low / high) / 5
    assert octaves == pytest.approx({"white": 0, "pink": 3, "brown": 6}[colour], abs=0.4)


def test_a_recorded_background_is_a_stretch_at_an_rms_of_one():
    ramp = np.linspace(0.1, 1, 12 * RATE, dtype=np.float32)
    found = behind("folder", "n", 10 * RATE, RATE, ["b.wav"], lambda _: ramp)
    assert len(found) == 10 * RATE
    assert np.sqrt((found**2).mean()) == pytest.approx(1.0)
    assert not behind("none", "n", 100, RATE, [], lambda _: ramp).any()
