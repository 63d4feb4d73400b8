"""Audio into HFLM: loading by family, prompts with audio markers, model inputs, delivery proof."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from lm_eval.models.huggingface import HFLM

import tempo_tasks
from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.errors import AudioNotDeliveredError
from tempo_attn.families import Family, get_family
from tempo_tasks.audio import (
    MAX_CHANNELS,
    MAX_RATE,
    AudioLimits,
    Handle,
    Wave,
    check_audio,
    read_audio,
)
from tempo_tasks.errors import CacheMismatchError
from tempo_tasks.harness import editing
from tempo_tasks.harness.delivery import check_placeholders, check_silence_differs, is_silent
from tempo_tasks.tiny import WEIGHTS_DIR

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

_log = logging.getLogger(__name__)


class AudioHFLM(HFLM):  # type: ignore[misc]
    """HFLM with a processor, clips and a family; subclasses ask it for model inputs.

    Args:
        pretrained: Hub id, folder, or a loaded model. Default: the embedded tiny model.
        processor: Hub id, folder, or a loaded processor. Default: the model's own.
        long_audio: "error", or "truncate" to cut clips to the model's window.
        max_channels: Audio with more channels is refused; 0 for no bound.
        max_rate: Audio with a higher sampling rate (Hz) is refused; 0 for no bound.
        attn_scale: Edit attention on audio: folder, Hub repository or `AttnScaleConfig`.
        attn_scale_revision: Revision of that repository.
        attn_scale_missing: A prompt that the edit does not fit (no audio, no keyword): "raise", or
            "warn" once and run it unedited.
        device: As for `hf`; default: CUDA, else MPS, else the CPU.
        kwargs: Everything that `hf` takes.

    Raises:
        UnknownFamilyError: No family is registered for the model's type.
        NoAudioTokenError: The checkpoint cannot take audio.
    """

    MULTIMODAL = True

    def __init__(
        self,
        pretrained: Any = None,
        *,
        processor: Any = None,
        long_audio: str = "error",
        max_channels: int = MAX_CHANNELS,
        max_rate: int = MAX_RATE,
        attn_scale: Any = None,
        attn_scale_revision: str | None = None,
        attn_scale_missing: str = "raise",
        device: str | None = None,
        **kwargs: Any,
    ) -> None:
        if long_audio not in ("error", "truncate"):
            raise ValueError(f"long_audio must be 'error' or 'truncate', not {long_audio!r}")
        for name, default in (("tokenizer", None), ("backend", "default")):
            if kwargs.get(name, default) != default:
                raise ValueError(f"lalm takes no {name!r}: the processor and the family decide")
        if pretrained is None:
            pretrained = str(WEIGHTS_DIR)
            _log.warning(
                "no `pretrained` given: using tempo's embedded model (1.9 M parameters, trained "
                "on rendered scenes). Name a model with --model_args pretrained=..."
            )
        self._processor_source = processor
        super().__init__(pretrained, device=device or _best_device(), **kwargs)
        if hasattr(self, "accelerator"):
            # HFLM sets these only with several GPUs, and then to the rank within one machine.
            self._rank = self.accelerator.process_index
            self._world_size = self.accelerator.num_processes
        window = self.family.max_seconds(self.processor)
        self.long_audio = long_audio
        self.limits = AudioLimits(
            max_channels=int(max_channels) or None,
            max_rate=int(max_rate) or None,
            min_seconds=self.family.min_seconds(self.processor),
            max_seconds=None if long_audio == "truncate" else window,
        )
        self._window = int(window * self.sampling_rate)
        self._heard: float | None = None
        self._checked: set[str] = set()
        self._silent: set[str] = set()
        if attn_scale is not None:
            self._model = editing.wrap(
                self.model,
                attn_scale,
                revision=attn_scale_revision,
                missing=attn_scale_missing,
                processor=self.processor,
            )

    # ------------------------------------------------------------------ loading

    def _get_backend(self, *args: Any, **kwargs: Any) -> None:
        self.backend = "causal"
        self.family: Family = get_family(self.config)
        self.AUTO_MODEL_CLASS = self.family.auto_class

    def _create_tokenizer(self, pretrained: Any, tokenizer: Any, **kwargs: Any) -> None:
        processor = self._processor_source
        if processor is None or isinstance(processor, str):
            # An explicit False: left out, transformers would ask at the terminal.
            given: dict[str, Any] = {"trust_remote_code": bool(kwargs.get("trust_remote_code"))}
            if processor is None:
                processor = _name(pretrained)
                given |= {k: kwargs[k] for k in ("revision", "subfolder") if kwargs.get(k)}
            processor = self.family.load_processor(processor, **given)
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.family.check(self.config, processor)

    @property
    def sampling_rate(self) -> int:
        """Sampling rate of the model's input, in Hz."""
        return self.family.sampling_rate(self.processor)

    # ------------------------------------------------------------------ prompts

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Render a chat by the processor's template; `<audio>` becomes the audio marker."""
        return self.family.chat(
            self.processor,
            chat_history,
            add_generation_prompt=add_generation_prompt,
            **self.chat_template_args,
        )

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return the processor's template, for the results."""
        return cast("str | None", getattr(self.processor, "chat_template", None))

    def render(self, context: str, handles: Sequence[Handle]) -> str:
        """Render a context as one user turn, unless the harness has already rendered it."""
        if not hasattr(self, "_assistant_turn"):
            user = [{"role": "user", "content": "?"}]
            rendered = self.apply_chat_template(user)
            self._assistant_turn = rendered.rpartition("?")[2]
        # Not "ends with": a task's gen_prefix may follow.
        if self._assistant_turn not in context:
            context = self.apply_chat_template([{"role": "user", "content": context}])
        marker = self.family.audio_marker(self.processor)
        if AUDIO_PLACEHOLDER in context or context.count(marker) != len(handles):
            raise AudioNotDeliveredError(
                f"a prompt has {context.count(marker)} audio marker(s) {marker!r} for "
                f"{len(handles)} clip(s); expected one `{AUDIO_PLACEHOLDER}` in the task's text "
                f"for each clip. The prompt begins: {context[:120]!r}"
            )
        return context

    # ------------------------------------------------------------------ inputs

    def waves(self, handles: Sequence[Handle]) -> list[Wave]:
        """Decode clips: mono at `sampling_rate`, no longer than the model's window."""
        waves = [read_audio(handle, self.sampling_rate, self.limits) for handle in handles]
        return [wave[: self._window] for wave in waves]

    def inputs(self, prompts: Sequence[str], waves_of_rows: Sequence[Sequence[Wave]]) -> Any:
        """Turn prompts and waveforms into model inputs: the one place where audio goes in.

        A cache of encoder outputs, shared across the questions on a clip, belongs here.
        """
        flat = [wave for waves in waves_of_rows for wave in waves]
        inputs = self.family.process(self.processor, prompts, flat)
        check_placeholders(self.family, self.processor, self.config, inputs, waves_of_rows)
        inputs = inputs.to(self.device)
        for name, value in inputs.items():
            if torch.is_floating_point(value):
                inputs[name] = value.to(self.model.dtype)
        return inputs

    def _prepare(self, requests: Sequence[Instance]) -> None:
        """Before any inference: check every clip, and that the model hears the first one."""
        every = [handle for request in requests for handle in request.args[2]["audio"]]
        self._silent |= check_audio(every, self.sampling_rate, self.limits, progress=self.rank == 0)
        self._checked |= {handle["path"] for handle in every}
        if self._heard is not None:
            return
        for request in requests:
            handles = request.args[2]["audio"]
            if all(handle.get("silence") for handle in handles):
                continue
            waves = self.waves(handles)
            if all(is_silent(wave) for wave in waves):
                continue
            prompt = self.render(request.args[0], handles)
            silence = [wave * 0 for wave in waves]
            with editing.plain(self.model):  # a knockout is deaf by intent
                self._heard = check_silence_differs(
                    self.model, self.inputs([prompt], [waves]), self.inputs([prompt], [silence])
                )
            return

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Take the response cache (`--use_cache`), unless it holds another model's answers.

        Raises:
            CacheMismatchError: lm-eval's keys do not name the model, so a cache serves one only.
        """
        super().set_cache_hook(cache_hook)
        if cache_hook.dbdict is None:
            return
        template = str(self.chat_template() or "").encode()
        identity = {
            "tempo": tempo_tasks.__version__,
            "pretrained": self.public_name(),
            "revision": self.revision,
            "peft": self.peft,
            "delta": self.delta,
            "dtype": str(self.model.dtype),
            "long_audio": self.long_audio,
            "attn_scale": (editing.describe(self.model) or {}).get("sha256"),
            "chat_template": hashlib.sha256(template).hexdigest()[:16],
        }
        mine = json.dumps(identity, sort_keys=True)
        held = cache_hook.dbdict.setdefault("tempo_model", mine)
        if held != mine:
            raise CacheMismatchError(
                f"the response cache holds answers of {held}, and this is {mine}; name another "
                "file with --use_cache"
            )

    def public_name(self) -> str:
        """Return the model's name as results show it; "embedded" for tempo's own."""
        name = _name(self.pretrained)
        return "embedded" if name == str(WEIGHTS_DIR) else name

    def get_model_info(self) -> dict[str, Any]:
        """Return what HFLM reports, with tempo's version, the family and the delivery proof.

        The numbers of clips are those of this process: of several, each checks its own share.
        """
        info: dict[str, Any] = super().get_model_info()
        info["tempo"] = {
            "version": tempo_tasks.__version__,
            "family": self.family.name,
            "pretrained": self.public_name(),
            "long_audio": self.long_audio,
            "attn_scale": editing.describe(self.model),
            "first_clip_logit_change_by_silence": self._heard,
            "clips_checked": len(self._checked),
            "clips_silent": len(self._silent),
        }
        return info


def _name(pretrained: Any) -> str:
    """Return the name of a model given by name or loaded."""
    return str(pretrained if isinstance(pretrained, str) else pretrained.name_or_path)


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
