"""Writing the clips of a plan, each whole or not at all; what is there already stays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tempo_attn.files.atomic import replacing
from tempo_tasks.audio import make_handle, read_audio
from tempo_tasks.data.render.plan import Plan
from tempo_tasks.data.render.prepare import Prepared
from tempo_tasks.data.render.request import RenderRequest
from tempo_tasks.data.render.workers import mapped
from tempo_tasks.file_hashes import hash_file
from tempo_tasks.sources.recorded.backgrounds import behind
from tempo_tasks.sources.recorded.mixing import part, render
from tempo_tasks.sources.recorded.scenes import RecordedScene
from tempo_tasks.sources.synth.scene import pcm16

_REMEMBERED = 64 << 20  # bytes of decoded recordings that a process keeps


@dataclass(frozen=True)
class _Setting:
    """What every clip of a rendering shares."""

    folder: Path
    rate: int
    seconds: float
    join: float
    background: str
    files: Mapping[str, tuple[Path, str]]  # where a recording lies, and its SHA-256 sum
    backgrounds: tuple[str, ...]


class _Waves:
    """Decoded recordings; the ones used last are kept."""

    def __init__(self, setting: _Setting) -> None:
        self.setting = setting
        self.kept: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()
        self.size = 0

    def of(self, name: str) -> npt.NDArray[np.float32]:
        """Return a recording at the rate of the clips; raises where its file changed meanwhile."""
        if name not in self.kept:
            wave = read_audio(make_handle(*self.setting.files[name]), self.setting.rate)
            self.kept[name] = wave
            self.size += wave.nbytes
            while self.size > _REMEMBERED and len(self.kept) > 1:
                self.size -= self.kept.popitem(last=False)[1].nbytes
        self.kept.move_to_end(name)
        return self.kept[name]


# What a process that renders was set up with.
_here: dict[str, _Waves] = {}


def _set_up(setting: _Setting) -> None:
    _here["waves"] = _Waves(setting)


def _write(task: tuple[str, RecordedScene]) -> tuple[str, str]:
    name, scene = task
    waves = _here["waves"]
    setting = waves.setting
    path = setting.folder / name
    # Files get their names when they are whole, and the folder holds this rendering only.
    if not path.is_file():
        _render(path, scene, waves)
    return name, hash_file(path, "sha256")[0]


def _render(path: Path, scene: RecordedScene, waves: _Waves) -> None:
    import soundfile

    setting = waves.setting
    samples = round(setting.seconds * setting.rate)
    noise = behind(
        setting.background,
        scene.background,
        samples,
        setting.rate,
        setting.backgrounds,
        waves.of,
    )
    mix = render(
        scene,
        setting.rate,
        setting.seconds,
        setting.join,
        lambda source: part(waves.of(source.recording), source, setting.rate),
        noise,
    )
    with replacing(path) as partial:
        soundfile.write(partial, pcm16(mix), setting.rate, format="WAV", subtype="PCM_16")


def write_clips(
    request: RenderRequest, prepared: Prepared, plan: Plan, folder: Path, *, progress: bool = False
) -> dict[str, str]:
    """Render all clips of a plan into a folder; return their SHA-256 sums by name.

    Raises:
        UnreadableAudioError: A recording changed since it was heard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    used = {source.recording for scene in plan.scenes.values() for source in scene.sources}
    files = {name: (prepared.used[name].path, prepared.heard[name].sha256) for name in used}
    for name, recording in prepared.backgrounds.items():
        files[name] = (recording.path, prepared.heard_backgrounds[name].sha256)
    setting = _Setting(
        folder=folder,
        rate=request.rate,
        seconds=request.seconds,
        join=request.trim.join,
        background=request.background_kind,
        files=files,
        backgrounds=tuple(sorted(prepared.backgrounds)),
    )
    return dict(
        mapped(
            _write,
            list(plan.scenes.items()),
            workers=request.workers,
            progress=progress,
            title="Rendering clips",
            setup=_set_up,
            setup_arguments=(setting,),
        )
    )
