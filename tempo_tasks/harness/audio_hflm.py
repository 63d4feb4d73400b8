"""Audio into HFLM: loading by family, prompts with audio markers, model inputs, delivery proof."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, cast

import torch
from lm_eval.models.huggingface import HFLM

import tempo_tasks
from tempo_attn import AUDIO_PLACEHOLDER
from tempo_attn.errors import AudioNotDeliveredError
from tempo_attn.families import Family, choose_family
from tempo_attn.families.shared.processors import where
from tempo_tasks.audio import (
    MAX_CHANNELS,
    MAX_RATE,
    AudioLimits,
    Handle,
    Wave,
)
from tempo_tasks.harness import editing, response_cache
from tempo_tasks.harness.control_tokens import control_tokens, refuse_control_tokens
from tempo_tasks.harness.delivery import check_placeholders
from tempo_tasks.harness.hearing import HearingChecks
from tempo_tasks.harness.model_at_hand import best_device, is_true, name_of, ties_kept
from tempo_tasks.harness.quantization import refuse_llm_int8
from tempo_tasks.harness.sharing.ahead import Ahead, Processed, Row
from tempo_tasks.harness.sharing.kept import Clips
from tempo_tasks.harness.sharing.prefix_sharing import PrefixSharing
from tempo_tasks.harness.transcripts import describe_transcripts, give_transcripts
from tempo_tasks.tiny import EMBEDDED, WEIGHTS_DIR, is_embedded

_log = logging.getLogger(__name__)
_PLACE = ("revision", "subfolder")  # where in a repository a checkpoint is


class AudioHFLM(HFLM):  # type: ignore[misc]
    """HFLM with a processor, clips and a family; subclasses ask it for model inputs.

    Args:
        pretrained: Hub id, folder, or a loaded model. Default: the embedded tiny model, which is
            also called "embedded".
        processor: Hub id, folder, or a loaded processor. Default: the model's own.
        family: "generic" for a type of model that no family is written for. Else found by the
            model's type.
        transcripts: CSV file for a model that reads them (DeSTA2.5); see `harness.transcripts`.
        long_audio: "error", or "truncate" to cut clips to the model's window.
        max_channels: Audio with more channels is refused; 0 for no bound.
        max_rate: Audio with a higher sampling rate (Hz) is refused; 0 for no bound.
        attn_scale: Edit attention on audio: folder, Hub repository or `AttnScaleConfig`.
        attn_scale_revision: Revision of that repository.
        attn_scale_missing: A prompt that the edit does not fit (no audio, no keyword): "raise", or
            "warn" once and run it unedited.
        max_thinking_toks: With `think_end_token`: how many tokens a model may think, beside those
            of its answer (`max_gen_toks`). `--gen_kwargs max_new_tokens=N` bounds both together.
        share_prefix: Encode and prefill a clip once for all questions about it, where that changes
            no logits (beyond rounding); see `tempo_tasks.harness.sharing.prefix_sharing`.
        cache_mb: MiB that may be kept of what was prefilled, and a quarter of it of waveforms.
        device: As for `hf`; default: CUDA, else MPS, else the CPU.
        kwargs: Everything that `hf` takes.

    Raises:
        UnknownFamilyError: No family is registered for the model's type.
        NoAudioTokenError: The checkpoint cannot take audio.
        EightBitModelError: It is in 8 bits of bitsandbytes.
    """

    MULTIMODAL = True

    def __init__(
        self,
        pretrained: Any = None,
        *,
        processor: Any = None,
        family: str | None = None,
        transcripts: str | None = None,
        long_audio: str = "error",
        max_channels: int = MAX_CHANNELS,
        max_rate: int = MAX_RATE,
        attn_scale: Any = None,
        attn_scale_revision: str | None = None,
        attn_scale_missing: str = "raise",
        max_thinking_toks: int = 1024,
        share_prefix: bool = True,
        cache_mb: float = 512,
        device: str | None = None,
        **kwargs: Any,
    ) -> None:
        for name, default in (("tokenizer", None), ("backend", "default")):
            if kwargs.get(name, default) != default:
                raise ValueError(f"lalm takes no {name!r}: the processor and the family decide")
        if is_embedded(pretrained):
            if pretrained is None:
                _log.warning(
                    "no `pretrained` given: using tempo's embedded model (1.9 M parameters, "
                    "trained on rendered scenes). Name a model with --model_args pretrained=..."
                )
            pretrained = str(WEIGHTS_DIR)
        self._processor_source = processor
        self._family_name = family
        self.arguments = {
            **kwargs,
            "processor": processor,
            "family": family,
            "transcripts": transcripts,
            "long_audio": long_audio,
            "max_channels": max_channels,
            "max_rate": max_rate,
            "attn_scale": attn_scale,
            "attn_scale_missing": attn_scale_missing,
            "max_thinking_toks": max_thinking_toks,
            "share_prefix": share_prefix,
            "cache_mb": cache_mb,
        }
        self.max_thinking_toks = int(max_thinking_toks)
        with ExitStack() as self._ties:
            if isinstance(pretrained, torch.nn.Module):
                self._ties.enter_context(ties_kept(pretrained))
            super().__init__(pretrained, device=device or best_device(), **kwargs)
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
        self.window_seconds = window
        self._window = int(window * self.sampling_rate)
        self.hearing = HearingChecks()
        kept = int(float(cache_mb) * 2**20)
        self.clips = Clips(self.sampling_rate, self.limits, self._window, kept // 4)
        self.sharing = PrefixSharing(is_true(share_prefix), kept)
        self.ahead = Ahead(self._process, lambda: self.processor)
        self._claimed_weights: str | None = None
        self.family.prepare(self.model, **{k: kwargs[k] for k in _PLACE if kwargs.get(k)})
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
        self.family: Family = choose_family(self.config, self._family_name)
        refuse_llm_int8(self.config, self.arguments, where(self.config))
        self.AUTO_MODEL_CLASS = self.family.model_class(self.config)

    def _create_model(self, *args: Any, **kwargs: Any) -> None:
        super()._create_model(*args, **kwargs)
        choose_family(self._model.config, self._family_name)  # it has read the file anew
        self._ties.enter_context(ties_kept(self._model))

    def _create_tokenizer(self, pretrained: Any, tokenizer: Any, **kwargs: Any) -> None:
        processor = self._processor_source
        if processor is None or isinstance(processor, str):
            # An explicit False: left out, transformers would ask at the terminal.
            given: dict[str, Any] = {"trust_remote_code": bool(kwargs.get("trust_remote_code"))}
            if processor is None:
                processor = name_of(pretrained)
                given |= {k: kwargs[k] for k in _PLACE if kwargs.get(k)}
            processor = self.family.load_processor(processor, **given)
        self.family.check(self.config, processor)  # first: it may be a bare tokenizer
        give_transcripts(self.family, processor, self.arguments["transcripts"])
        self.processor = processor
        self.tokenizer = processor.tokenizer

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

    def is_rendered(self, context: str) -> bool:
        """Return whether a context is a chat that `apply_chat_template` has rendered."""
        if not hasattr(self, "_assistant_turn"):
            user = [{"role": "user", "content": "?"}]
            rendered = self.apply_chat_template(user)
            self._assistant_turn = rendered.rpartition("?")[2]
        # Not "ends with": a task's gen_prefix may follow.
        return self._assistant_turn in context

    def render(self, context: str, handles: Sequence[Handle]) -> str:
        """Render a context as one user turn, unless the harness has already rendered it."""
        if not self.is_rendered(context):
            context = self.apply_chat_template([{"role": "user", "content": context}])
        marker = self.family.audio_marker(self.processor)
        if AUDIO_PLACEHOLDER in context or context.count(marker) != len(handles):
            raise AudioNotDeliveredError(
                f"a prompt has {context.count(marker)} audio marker(s) {marker!r} for "
                f"{len(handles)} clip(s); expected one `{AUDIO_PLACEHOLDER}` in the task's text "
                f"for each clip. The prompt begins: {context[:120]!r}"
            )
        return context

    def check_texts(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Check that no document's text holds special tokens of the tokenizer.

        Raises:
            QuestionError: Some do; all are listed.
        """
        tokens = control_tokens(self.tokenizer, self.family.audio_marker(self.processor))
        refuse_control_tokens(documents, tokens, self.public_name())

    # ------------------------------------------------------------------ inputs

    def waves(self, handles: Sequence[Handle]) -> list[Wave]:
        """Decode clips: mono at `sampling_rate`, no longer than the model's window."""
        return [self.clips.heard(handle) for handle in handles]

    def inputs(self, prompts: Sequence[str], waves_of_rows: Sequence[Sequence[Wave]]) -> Any:
        """Turn prompts and waveforms into model inputs: the one place where audio goes in."""
        flat = [wave for waves in waves_of_rows for wave in waves]
        return self.deliver(self.family.process(self.processor, prompts, flat), waves_of_rows)

    def deliver(self, inputs: Any, waves_of_rows: Sequence[Sequence[Wave]]) -> Any:
        """Check what the processor returned for a batch, and bring it to the model."""
        check_placeholders(self.family, self.processor, self.config, inputs, waves_of_rows)
        inputs = inputs.to(self.device)
        for name, value in inputs.items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                inputs[name] = value.to(self.family.feature_dtype(self.model))
        return inputs

    def _process(self, rows: Sequence[Row], processor: Any) -> Processed:
        """Decode rows' clips and let a processor make inputs of them, on the CPU."""
        waves = [self.waves(handles) for _, handles in rows]
        flat = [wave for waves_of_row in waves for wave in waves_of_row]
        return self.family.process(processor, [prompt for prompt, _ in rows], flat), waves

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Take the response cache (`--use_cache`), unless it holds another model's answers.

        Raises:
            CacheMismatchError: See `tempo_tasks.harness.response_cache`.
            AudioNotDeliveredError: It holds answers about audio, and the model does not hear.
        """
        super().set_cache_hook(cache_hook)
        if cache_hook.dbdict is None:
            return
        identity = response_cache.identity_of(self)
        self._claimed_weights = identity["weights"]
        response_cache.claim(cache_hook.dbdict, identity)
        self.hearing.before_cached_answers(self, cache_hook.dbdict)

    def public_name(self) -> str:
        """Return the model's name as results show it; "embedded" for tempo's own."""
        name = name_of(self.pretrained)
        return EMBEDDED if name == str(WEIGHTS_DIR) else name

    def get_model_info(self) -> dict[str, Any]:
        """Return what HFLM reports, with tempo's version, the family and this process's proofs."""
        info: dict[str, Any] = super().get_model_info()
        # Of large models it takes a while: once a run. Forgotten after it, for weights may change.
        weights = self._claimed_weights or response_cache.weights_of(self.model)
        self._claimed_weights = None
        info["tempo"] = {
            "version": tempo_tasks.__version__,
            "family": self.family.name,
            "pretrained": self.public_name(),
            "weights": weights,
            "long_audio": self.long_audio,
            "transcripts": describe_transcripts(self.family, self.processor),
            "think_end_token": self.think_end_token,
            "max_thinking_toks": None if self.think_end_token is None else self.max_thinking_toks,
            "attn_scale": editing.describe(self.model),
            "checks": self.hearing.to_dict(),
            "share_prefix": self.sharing.to_dict(),
        }
        return info
