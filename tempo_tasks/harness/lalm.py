"""The model class `lalm`: audio language models in lm-evaluation-harness.

What `hf` does for text, with audio: `pretrained`, `dtype`, `attn_implementation`, `batch_size`,
`device`, `trust_remote_code` and the rest are HFLM's own arguments. What differs between families
of models lies in `tempo_attn.families`.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from lm_eval.models.utils_hf import stop_sequences_criteria
from tqdm import tqdm

import tempo_tasks
from tempo_attn.errors import AudioNotDeliveredError
from tempo_attn.families import AUDIO_PLACEHOLDER, Family, get_family
from tempo_tasks.audio import (
    MAX_CHANNELS,
    MAX_RATE,
    AudioLimits,
    Handle,
    Wave,
    check_audio,
    read_audio,
)
from tempo_tasks.harness.batching import run_in_batches
from tempo_tasks.harness.delivery import check_placeholders, check_silence_differs, is_silent
from tempo_tasks.tiny import WEIGHTS_DIR

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

_log = logging.getLogger(__name__)
Answer = tuple[float, bool]


@register_model("lalm")
class LALM(HFLM):  # type: ignore[misc]
    """An audio language model of any family that tempo knows.

    Args:
        pretrained: Hub id, folder, or a loaded model. Default: the embedded tiny model.
        processor: Hub id, folder, or a loaded processor. Default: the model's own.
        long_audio: "error", or "truncate" to cut clips to the model's window.
        max_channels: Audio with more channels is refused; 0 for no bound.
        max_rate: Audio with a higher sampling rate (Hz) is refused; 0 for no bound.
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
        device: str | None = None,
        **kwargs: Any,
    ) -> None:
        if long_audio not in ("error", "truncate"):
            raise ValueError(f"long_audio must be 'error' or 'truncate', not {long_audio!r}")
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

    # ------------------------------------------------------------------ loading

    def _get_backend(self, *args: Any, **kwargs: Any) -> None:
        self.backend = "causal"
        self.family: Family = get_family(self.config)
        self.AUTO_MODEL_CLASS = self.family.auto_class

    def _create_tokenizer(self, pretrained: Any, tokenizer: Any, **kwargs: Any) -> None:
        processor = self._processor_source
        if processor is None:
            name = pretrained if isinstance(pretrained, str) else pretrained.name_or_path
            processor = str(name)
        if isinstance(processor, str):
            names = ("revision", "trust_remote_code", "subfolder")
            given = {name: kwargs[name] for name in names if kwargs.get(name)}
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
            self.processor, chat_history, add_generation_prompt=add_generation_prompt
        )

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return the processor's template, for the results."""
        return cast("str | None", getattr(self.processor, "chat_template", None))

    def _prompt(self, context: str, handles: Sequence[Handle]) -> str:
        """Render a context as one user turn, unless the harness has already rendered it."""
        if not hasattr(self, "_assistant_turn"):
            user = [{"role": "user", "content": "?"}]
            rendered = self.apply_chat_template(user)
            self._assistant_turn = rendered.rpartition("?")[2]
        if not context.endswith(self._assistant_turn):
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

    def _waves(self, handles: Sequence[Handle]) -> list[Wave]:
        waves = [read_audio(handle, self.sampling_rate, self.limits) for handle in handles]
        return [wave[: self._window] for wave in waves]

    def _inputs(self, prompts: Sequence[str], waves_of_rows: Sequence[Sequence[Wave]]) -> Any:
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
        handles = [handle for request in requests for handle in request.args[2]["audio"]]
        check_audio(handles, self.sampling_rate, self.limits, progress=self.rank == 0)
        if self._heard is not None:
            return
        for request in requests:
            if not any(not handle.get("silence") for handle in request.args[2]["audio"]):
                continue
            waves = self._waves(request.args[2]["audio"])
            if all(is_silent(wave) for wave in waves):
                continue
            prompt = self._prompt(request.args[0], request.args[2]["audio"])
            silence = [wave * 0 for wave in waves]
            self._heard = check_silence_differs(
                self.model, self._inputs([prompt], [waves]), self._inputs([prompt], [silence])
            )
            return

    def _batch_size(self) -> tuple[int, bool]:
        """Return the batch size and whether it may be halved when memory runs out."""
        if self.batch_size == "auto":
            return int(self.max_batch_size), True
        return int(self.batch_size), False

    def _length(self, prompt: str, handles: Sequence[Handle]) -> int:
        # Rough: audio of unknown length counts as a full window.
        return len(prompt) // 4 + len(handles) * self.family.n_audio_tokens(
            self.processor, self._window
        )

    # ------------------------------------------------------------------ generation

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generate answers; requests without an audio argument go to HFLM."""
        with_audio, others = _split(requests)
        results: dict[int, str] = {}
        if others:
            plain = super().generate_until([requests[i] for i in others], disable_tqdm)
            results.update(zip(others, plain, strict=True))
        if with_audio:
            self._prepare([requests[index] for index in with_audio])
        by_kwargs = defaultdict(list)
        for index in with_audio:
            by_kwargs[json.dumps(requests[index].args[1], sort_keys=True)].append(index)
        bar = self._bar(len(with_audio), "Running generate_until requests", disable_tqdm)
        size, adaptive = self._batch_size()
        for indices in by_kwargs.values():
            gen_kwargs = requests[indices[0]].args[1]
            rows = [self._row(requests[index]) for index in indices]
            for at, text in run_in_batches(
                rows,
                lambda batch, kw=gen_kwargs: self._generate(batch, kw),  # type: ignore[misc]
                length=lambda row: self._length(*row),
                batch_size=size,
                adaptive=adaptive,
            ):
                results[indices[at]] = text
                self.cache_hook.add_partial("generate_until", requests[indices[at]].args, text)
                bar.update(1)
        bar.close()
        return [results[index] for index in range(len(requests))]

    def _row(self, request: Instance) -> tuple[str, Sequence[Handle]]:
        handles = request.args[2]["audio"]
        return self._prompt(request.args[0], handles), handles

    def _generate(
        self, batch: Sequence[tuple[str, Sequence[Handle]]], gen_kwargs: Mapping[str, Any]
    ) -> list[str]:
        """Generate for one batch; returns the text up to the first stop sequence."""
        inputs = self._inputs(
            [prompt for prompt, _ in batch], [self._waves(handles) for _, handles in batch]
        )
        kwargs = normalize_gen_kwargs(dict(gen_kwargs), self.max_gen_toks)
        eos = self.tok_decode(self.eot_token_id, skip_special_tokens=False)
        until = handle_stop_sequences(kwargs.pop("until", None), eos=eos)
        kwargs["max_new_tokens"] = kwargs.pop("max_gen_toks")
        kwargs.pop("max_length", None)
        if kwargs.get("temperature", 0.0) == 0.0 and not kwargs.get("do_sample"):
            kwargs.pop("temperature", None)
            kwargs["do_sample"] = False
        n_prompt = inputs["input_ids"].shape[1]
        stopping = stop_sequences_criteria(self.tokenizer, until, n_prompt, len(batch))
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                stopping_criteria=stopping,
                pad_token_id=self.tokenizer.pad_token_id,
                use_cache=True,
                **kwargs,
            )
        texts = [self.tok_decode(tokens) for tokens in output[:, n_prompt:].tolist()]
        return [
            postprocess_generated_text(generation=text, stop=until, think_end_token=None)
            for text in texts
        ]

    # ------------------------------------------------------------------ likelihood

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[Answer]:
        """Score continuations; all one-token continuations of a prompt share one forward."""
        with_audio, others = _split(requests)
        results: dict[int, Answer] = {}
        if others:
            plain = super().loglikelihood([requests[i] for i in others], disable_tqdm)
            results.update(zip(others, plain, strict=True))
        if with_audio:
            self._prepare([requests[index] for index in with_audio])
        # One row for what the model must read; the last token of a continuation is not read.
        rows: dict[str, tuple[str, Sequence[Handle], tuple[int, ...]]] = {}
        asked: dict[str, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
        for index in with_audio:
            prompt, handles = self._row(requests[index])
            tokens = self._continuation(prompt, requests[index].args[1])
            key = json.dumps([prompt, [dict(handle) for handle in handles], tokens[:-1]])
            rows[key] = (prompt, handles, tokens[:-1])
            asked[key].append((index, tokens))
        bar = self._bar(len(with_audio), "Running loglikelihood requests", disable_tqdm)
        size, adaptive = self._batch_size()
        keys = list(rows)
        jobs = [(*rows[key], [tokens for _, tokens in asked[key]]) for key in keys]
        for at, answers in run_in_batches(
            jobs,
            self._score,
            length=lambda job: self._length(job[0], job[1]) + len(job[2]),
            batch_size=size,
            adaptive=adaptive,
        ):
            for (index, _), answer in zip(asked[keys[at]], answers, strict=True):
                results[index] = answer
                self.cache_hook.add_partial("loglikelihood", requests[index].args, answer)
                bar.update(1)
        bar.close()
        return [results[index] for index in range(len(requests))]

    def _continuation(self, prompt: str, continuation: str) -> tuple[int, ...]:
        """Return the tokens of a continuation as they follow the prompt."""
        before = self.tok_encode(prompt, add_special_tokens=False)
        whole = self.tok_encode(prompt + continuation, add_special_tokens=False)
        if whole[: len(before)] == before and len(whole) > len(before):
            return tuple(whole[len(before) :])
        # A token reaches across the border: score the continuation as tokens of its own.
        return tuple(self.tok_encode(continuation, add_special_tokens=False))

    def _score(
        self,
        batch: Sequence[tuple[str, Sequence[Handle], tuple[int, ...], Sequence[tuple[int, ...]]]],
    ) -> list[list[Answer]]:
        """Return (log-probability, is greedy) of every continuation of every row."""
        inputs = self._inputs([job[0] for job in batch], [self._waves(job[1]) for job in batch])
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        n_prompt, n_more = ids.shape[1], max(len(job[2]) for job in batch)
        more = ids.new_full((len(batch), n_more), self.tokenizer.pad_token_id)
        seen = mask.new_zeros((len(batch), n_more))
        for row, job in enumerate(batch):
            more[row, : len(job[2])] = torch.tensor(job[2], dtype=ids.dtype)
            seen[row, : len(job[2])] = 1
        inputs["input_ids"] = torch.cat([ids, more], dim=1)
        inputs["attention_mask"] = torch.cat([mask, seen], dim=1)
        with torch.inference_mode():
            logits = self.model(**inputs).logits[:, n_prompt - 1 :].float().log_softmax(-1)
        scored = []
        for row, job in enumerate(batch):
            answers = []
            for tokens in job[3]:
                wanted = torch.tensor(tokens, device=logits.device)
                steps = logits[row, : len(tokens)]
                total = float(steps.gather(-1, wanted[:, None]).sum())
                answers.append((total, bool((steps.argmax(-1) == wanted).all())))
            scored.append(answers)
        return scored

    # ------------------------------------------------------------------ reporting

    def _bar(self, total: int, text: str, disable: bool) -> Any:
        return tqdm(total=total, desc=text, disable=disable or self.rank != 0 or not total)

    def get_model_info(self) -> dict[str, Any]:
        """Return what HFLM reports, with tempo's version, the family and the delivery proof."""
        info: dict[str, Any] = super().get_model_info()
        info["tempo"] = {
            "version": tempo_tasks.__version__,
            "family": self.family.name,
            "pretrained": "embedded" if self.pretrained == str(WEIGHTS_DIR) else self.pretrained,
            "long_audio": self.long_audio,
            "first_clip_logit_change_by_silence": self._heard,
        }
        return info


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _split(requests: Sequence[Instance]) -> tuple[list[int], list[int]]:
    """Return the indices of requests with an `audio` argument (even an empty one), and others."""
    with_audio = [i for i, r in enumerate(requests) if len(r.args) > 2 and "audio" in r.args[2]]
    chosen = set(with_audio)
    return with_audio, [i for i in range(len(requests)) if i not in chosen]
