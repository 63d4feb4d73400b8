"""The scenes of a rendering, their questions and captions: all drawn from the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tempo_attn.errors import OptionError
from tempo_tasks.data.render.request import MIRROR, QUARTETS, RenderRequest
from tempo_tasks.errors import QuestionError
from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.questions import Kind, Question, build_questions
from tempo_tasks.sources.quartet_plan import ask_quartets
from tempo_tasks.sources.recorded.scenes import (
    RENDER_VERSION,
    Bank,
    RecordedScene,
    draw_quartet,
    draw_scene,
    mirror_scene,
)
from tempo_tasks.sources.synth.caption import naming_caption, weak_caption
from tempo_tasks.sources.synth.scene import MARGIN

_SIZE = 4


@dataclass(frozen=True)
class Plan:
    """What is rendered and asked.

    Attributes:
        scenes: By the name of the clip's file, twins included.
        questions: In the order of the rows; a clip's id is the name of its file.
        captions: Of the clips asked about, by the name of the file.
        twins: Name of each clip's twin.
    """

    scenes: Mapping[str, RecordedScene]
    questions: tuple[Question, ...]
    captions: Mapping[str, str]
    twins: Mapping[str, str]

    def clips(self) -> list[Clip]:
        """Return the clips with their events, twins included; ids are the names of the files."""
        return [Clip(name, scene.clip.events) for name, scene in self.scenes.items()]


def draw_plan(request: RenderRequest, bank: Bank) -> Plan:
    """Draw scenes and ask about them.

    Raises:
        OptionError, PlacementError: See `draw_scene` and `draw_quartet`.
    """
    return _quartets(request, bank) if request.kind == QUARTETS else _plain(request, bank)


def _name(request: RenderRequest, number: int) -> str:
    """Return what a scene is drawn from: the seed and the split, so that splits differ."""
    kind = QUARTETS if request.kind == QUARTETS else "scenes"
    return f"tempo-recorded-{RENDER_VERSION}/{kind}/{request.split}/{request.seed}/{number:05d}"


def _plain(request: RenderRequest, bank: Bank) -> Plan:
    scenes: dict[str, RecordedScene] = {}
    twins: dict[str, str] = {}
    clips = []
    for number in range(request.clips):
        scene = draw_scene(_name(request, number), bank, request.style)
        name = f"{number:05d}.wav"
        scenes[name] = scene
        clips.append(Clip(name, scene.clip.events))
        if request.kind == MIRROR:
            twins[name] = f"{number:05d}-mirror.wav"
            scenes[twins[name]] = mirror_scene(scene, request.seconds)
    try:
        questions = [
            question
            for kind in Kind
            for question in build_questions(
                clips, kind, seed=request.seed, margin=MARGIN, labels=bank.bursts, alike=bank.alike
            )
        ]
    except QuestionError as error:
        raise OptionError(
            f"{len(bank.bursts)} labels are too few for four options of which no two sound alike; "
            "add recordings of other sounds, ask for more --events, or say with --alike which "
            "labels sound alike"
        ) from error
    phrases = {label: label.lower() for label in bank.bursts}
    captions = {clip.id: weak_caption(clip, request.seed, phrases) for clip in clips}
    return Plan(scenes, tuple(questions), captions, twins)


def _quartets(request: RenderRequest, bank: Bank) -> Plan:
    scenes: dict[str, RecordedScene] = {}
    captions: dict[str, str] = {}
    named: list[tuple[str, list[Clip]]] = []
    phrases = {label: label.lower() for label in bank.bursts}
    for number in range(request.clips // _SIZE):
        group = f"{number:05d}"
        four = draw_quartet(_name(request, number), number, bank, request.style)
        files = [f"{group}-{turn}.wav" for turn in range(_SIZE)]
        clips = [Clip(file, s.clip.events) for file, s in zip(files, four, strict=True)]
        scenes.update(zip(files, four, strict=True))
        labels = [event.label for event in clips[0].events]
        captions.update(
            dict.fromkeys(files, naming_caption(labels, _name(request, number), phrases))
        )
        named.append((group, clips))
    # The order of options and rows is drawn from the whole name, which has the seed in it.
    whole = _name(request, 0).rpartition("/")[0]
    questions = [
        replace(question, group=question.group.rpartition("/")[2])
        for kind in Kind
        for question in ask_quartets(
            [(f"{whole}/{group}", clips) for group, clips in named],
            kind,
            lambda number: f"{whole}/{number}",
        )
    ]
    return Plan(scenes, tuple(questions), captions, {})
