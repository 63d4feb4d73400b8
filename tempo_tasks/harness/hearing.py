"""Before any inference: every clip is checked, and the model has to hear one of them.

`delivery` compares logits and counts audio positions; here it is decided on what, and remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_tasks.audio import AudioLimits, Handle, Wave, check_audio, is_silenced
from tempo_tasks.harness import editing
from tempo_tasks.harness.delivery import check_silence_differs, is_silent, noise
from tempo_tasks.harness.sharing.kept import Clips
from tempo_tasks.harness.transcripts import no_transcripts

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

_HEARD = "tempo_heard_audio"
"""Where a response cache says that some of its answers are about audio."""


class AskedModel(Protocol):
    """What the checks ask of any model, loaded here or asked through a server.

    Attributes:
        limits: What audio is accepted.
    """

    limits: AudioLimits

    @property
    def clips(self) -> Clips | None:
        """The waveforms that are kept; None where clips are decoded whenever they are needed."""

    @property
    def rank(self) -> int:
        """The number of this process among those of the run."""

    @property
    def sampling_rate(self) -> int:
        """Sampling rate of the model's input, in Hz."""

    @property
    def window_seconds(self) -> float:
        """The longest audio that the model hears, in seconds."""

    def waves(self, handles: Sequence[Handle]) -> list[Wave]:
        """Decode clips."""

    def render(self, context: str, handles: Sequence[Any]) -> str:
        """Render a context as one user turn."""


class ListeningModel(AskedModel, Protocol):
    """What a proof by logits asks further: an `AudioHFLM`, which imports this module.

    Attributes:
        processor: The model's processor.
    """

    processor: Any

    @property
    def model(self) -> Any:
        """The loaded model."""

    def inputs(self, prompts: Sequence[str], waves_of_rows: Sequence[Sequence[Wave]]) -> Any:
        """Turn prompts and waveforms into model inputs."""


class HearingChecks:
    """What was found of a model's clips and of its hearing.

    Attributes:
        clip_change: How much the first clip's next-token logits change when it is zeroed; None
            before a clip was asked about.
        noise_change: The same for noise, which stands for the clips of cached answers.
        reference: The prompt and clips by which hearing was proved, and the next token's logits,
            (1, vocabulary), of the model without an edit.
    """

    noise_seconds = 1.0

    def __init__(self) -> None:
        self.clip_change: float | None = None
        self.noise_change: float | None = None
        self.reference: tuple[str, Sequence[Handle], Tensor] | None = None
        self._logits: Tensor | None = None
        self._checked: set[str] = set()
        self._silent: set[str] = set()

    def before_requests(
        self,
        lm: AskedModel,
        requests: Sequence[Instance],
        cache: MutableMapping[str, Any] | None,
        *,
        progress: bool = True,
    ) -> None:
        """Check every clip, and that the model hears the first one that is not silent.

        Args:
            lm: The model.
            requests: Requests with an `audio` argument.
            cache: The response cache, if any; it remembers that its answers are about audio.
            progress: Whether to show how far the check of the clips is.

        Raises:
            TempoError: A clip cannot be used; see `tempo_tasks.audio.check_audio`.
            AudioNotDeliveredError: The model does not hear.
        """
        every = [handle for request in requests for handle in request.args[2]["audio"]]
        if cache is not None and not all(map(is_silenced, every)):
            cache[_HEARD] = True
        self._silent |= check_audio(
            every,
            lm.sampling_rate,
            lm.limits,
            progress=progress and lm.rank == 0,
            read=None if lm.clips is None else lm.clips.read,
        )
        self._checked |= {handle["path"] for handle in every}
        if self.clip_change is not None:
            return
        for request in requests:
            handles = request.args[2]["audio"]
            if all(map(is_silenced, handles)):
                continue
            waves = lm.waves(handles)
            if all(is_silent(wave) for wave in waves):
                continue
            prompt = lm.render(request.args[0], handles)
            self.clip_change = self.prove(lm, prompt, waves)
            if self._logits is not None:
                self.reference = prompt, handles, self._logits
            return

    def before_cached_answers(self, lm: AskedModel, cache: Mapping[str, Any]) -> None:
        """Check with noise that the model hears, where a cache holds answers about audio.

        All answers may be there, so that no clip is asked about.

        Raises:
            AudioNotDeliveredError: The model does not hear.
        """
        if cache.get(_HEARD):
            wave = noise(min(self.noise_seconds, lm.window_seconds), lm.sampling_rate)
            prompt = lm.render(f"{AUDIO_PLACEHOLDER}What do you hear?", [{}])
            self.noise_change = self.prove(lm, prompt, [wave])

    def prove(self, lm: Any, prompt: str, waves: Sequence[Wave]) -> float:
        """Return how much the next token's logits change when a prompt's audio is zeroed.

        Args:
            lm: The model, a `ListeningModel`.
            prompt: What `lm.render` returned.
            waves: Its clips.

        Raises:
            AudioNotDeliveredError: They do not change.
        """
        listening: ListeningModel = lm
        silence = [wave * 0 for wave in waves]
        # Without an edit: a knockout is deaf by intent. A transcript tells of a clip by itself.
        with editing.plain(listening.model), no_transcripts(listening.processor):
            change, self._logits = check_silence_differs(
                listening.model,
                listening.inputs([prompt], [waves]),
                listening.inputs([prompt], [silence]),
            )
        return change

    def to_dict(self) -> dict[str, Any]:
        """Return what the results say: what was found on the way, not what answers depend on."""
        return {
            "first_clip_logit_change_by_silence": self.clip_change,
            "noise_logit_change_by_silence": self.noise_change,
            "clips_checked": len(self._checked),
            "clips_silent": len(self._silent),
        }
