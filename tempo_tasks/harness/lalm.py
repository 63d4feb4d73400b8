"""The model class `lalm`: audio language models in lm-evaluation-harness.

What `hf` does for text, with audio: `pretrained`, `dtype`, `attn_implementation`, `batch_size`,
`device`, `trust_remote_code` and the rest are HFLM's own arguments. What differs between families
of models lies in `tempo_attn.families`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from lm_eval.api.registry import register_model
from lm_eval.models.utils import normalize_gen_kwargs
from tqdm import tqdm
from transformers import StoppingCriteriaList

from tempo_attn.runtime.last_logits import last_logits
from tempo_attn.runtime.prefix_cache import SharedInputs
from tempo_tasks.audio import Handle
from tempo_tasks.harness import editing
from tempo_tasks.harness.arguments import check_arguments, unreadable
from tempo_tasks.harness.audio_hflm import AudioHFLM
from tempo_tasks.harness.batching import run_in_batches
from tempo_tasks.harness.generation_arguments import check_generation, goes_on, names_total
from tempo_tasks.harness.likelihoods import Answer, continuations_in
from tempo_tasks.harness.rows import handles_of, rendered
from tempo_tasks.harness.sharing.ahead import BATCHES, Row
from tempo_tasks.harness.stopping import AnswerRule, AnswerStops, think_end_of
from tempo_tasks.tiny import EMBEDDED

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

R = TypeVar("R")
_USUAL_WINDOW = 30  # seconds


@register_model("lalm")
class LALM(AudioHFLM):
    """An audio language model of any family that tempo knows; see `AudioHFLM` for arguments.

    Example:
        >>> import lm_eval
        >>> lm_eval.simple_evaluate(model="lalm", tasks=["tempo_synth_eo_aqa"])  # doctest: +SKIP
    """

    def __init__(self, pretrained: Any = None, **arguments: Any) -> None:
        edit = check_arguments(pretrained, arguments)
        # The edit that was checked is the one that is applied: a repository is fetched once.
        super().__init__(pretrained, **(arguments | ({} if edit is None else {"attn_scale": edit})))
        self.arguments["attn_scale"] = arguments.get("attn_scale")

    def _get_config(self, pretrained: str, **kwargs: Any) -> None:
        try:
            super()._get_config(pretrained, **kwargs)
        except ValueError as error:  # remote code that is not allowed, or a type that is not known
            raise unreadable(pretrained, {**self.arguments, **kwargs}, error) from error

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> LALM:
        """Make a model as lm_eval does; the embedded one is then named in the arguments.

        lm_eval names the results' folder after `pretrained`, and draws a name where there is none.
        """
        lm: LALM = super().create_from_arg_obj(arg_dict, additional_config)
        if arg_dict.get("pretrained") is None:
            arg_dict["pretrained"] = EMBEDDED
        return lm

    def _batch_size(self) -> tuple[int, bool]:
        """Return the batch size and whether it may be halved when memory runs out."""
        if not self.family.pads_audio_alike:
            return 1, False
        if self.batch_size == "auto":
            return int(self.max_batch_size), True
        return int(self.batch_size), False

    def length(self, prompt: str, handles: Sequence[Handle]) -> int:
        """Return the rough length of a prompt in tokens.

        Every clip counts as a full window, of 30 s where a model hears minutes: clips that long are
        rare, and a memory plan by the longest would run one item at a time.
        """
        window = min(self._window, _USUAL_WINDOW * self.sampling_rate)
        return len(prompt) // 4 + len(handles) * self.family.n_audio_tokens(self.processor, window)

    def _bar(self, total: int, text: str, disable: bool) -> Any:
        return tqdm(total=total, desc=text, disable=disable or self.rank != 0 or not total)

    def _begin(
        self,
        requests: Sequence[Instance],
        plain: Callable[[list[Instance], bool], list[R]],
        disable_tqdm: bool,
    ) -> tuple[list[int], dict[int, R]]:
        """Check the clips, then let HFLM (`plain`) answer the requests without audio.

        Returns:
            Indices of the requests that are left to do: those with an `audio` argument (even an
            empty one), and rendered chats that are no text to HFLM; and the answers of the others
            by index.
        """
        ours = [
            index
            for index, request in enumerate(requests)
            if handles_of(request) is not None
            or (not self.family.text_prompts and self.is_rendered(request.args[0]))
        ]
        others = sorted(set(range(len(requests))) - set(ours))
        with_audio = [requests[index] for index in ours if handles_of(requests[index]) is not None]
        editing.check_requests(
            self.model, len(others) + sum(not handles_of(requests[index]) for index in ours)
        )
        self.check_texts(request.doc for request in with_audio)
        if with_audio:  # first: a bad clip stops the run before anything is computed
            self.hearing.before_requests(
                self, with_audio, self.cache_hook.dbdict, progress=not disable_tqdm
            )
        answers = plain([requests[index] for index in others], disable_tqdm) if others else []
        return ours, dict(zip(others, answers, strict=True))

    # ------------------------------------------------------------------ generation

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generate answers; requests without an audio argument go to HFLM."""
        with_audio, results = self._begin(requests, super().generate_until, disable_tqdm)
        by_kwargs = defaultdict(list)
        for index in with_audio:
            by_kwargs[json.dumps(requests[index].args[1], sort_keys=True)].append(index)
        bar = self._bar(len(with_audio), "Running generate_until requests", disable_tqdm)
        size, adaptive = self._batch_size()
        for indices in by_kwargs.values():
            gen_kwargs = requests[indices[0]].args[1]
            rows = rendered(self, [requests[index] for index in indices])
            for at, text in run_in_batches(
                rows,
                lambda batch, kw=gen_kwargs: self.generate_batch(batch, kw),  # type: ignore[misc]
                order=self._order(rows, size),
                batch_size=size,
                adaptive=adaptive,
                begin=self._begin_batch,
                n_ahead=BATCHES,
            ):
                results[indices[at]] = text
                self.cache_hook.add_partial("generate_until", requests[indices[at]].args, text)
                bar.update(1)
        bar.close()
        self.ahead.end()
        return [results[index] for index in range(len(requests))]

    def _order(self, rows: Sequence[Row], batch_size: int) -> list[int]:
        """Return the order in which rows are run."""
        self.ahead.end()
        return self.sharing.plan(self, rows, lambda number: self.length(*rows[number]), batch_size)

    def _begin_batch(self, batch: Sequence[Sequence[Any]]) -> None:
        """Begin to decode and process what a later batch will need."""
        self.ahead.begin(self.sharing.rows_to_process(self, [(job[0], job[1]) for job in batch]))

    def _shared(self, rows: Sequence[Row]) -> SharedInputs | None:
        with self._autocast():
            return self.sharing.inputs(self, rows)

    def generate_batch(self, batch: Sequence[Row], gen_kwargs: Mapping[str, Any]) -> list[str]:
        """Generate for one batch; returns the answers: see `tempo_tasks.harness.stopping`."""
        check_generation(gen_kwargs)
        may_share = goes_on(gen_kwargs, self.model.generation_config)
        shared = self._shared(batch) if may_share else None
        inputs = self.deliver(*self.ahead.take(batch)) if shared is None else shared.whole()
        kwargs = normalize_gen_kwargs(dict(gen_kwargs), self.max_gen_toks)
        kwargs.pop("max_length", None)
        if kwargs.get("temperature", 0.0) == 0.0 and not kwargs.get("do_sample"):
            kwargs.pop("temperature", None)
            kwargs["do_sample"] = False
        n_new = kwargs.pop("max_gen_toks")
        thinks = self.think_end_token is not None and not names_total(gen_kwargs)
        rule = AnswerRule(
            decode=self.tok_decode,
            until=kwargs.pop("until", None) or [],
            ends_of_turn=self._ends_of_turn(),
            think_end=think_end_of(self.tokenizer, self.think_end_token),
            max_tokens=n_new if thinks else None,
        )
        n_prompt = inputs["input_ids"].shape[1]
        going_on = nullcontext() if shared is None else editing.going_on(self.model, inputs)
        # Where several rows or tokens a prompt are proposed, more logits may be asked for.
        last = last_logits(editing.base_of(self.model), 1) if may_share else nullcontext()
        with torch.inference_mode(), self._autocast(), going_on, last:
            output = self.model.generate(
                **inputs,
                stopping_criteria=StoppingCriteriaList([AnswerStops(rule, n_prompt)]),
                pad_token_id=self.tokenizer.pad_token_id,
                use_cache=True,
                max_new_tokens=n_new + self.max_thinking_toks if thinks else n_new,
                **kwargs,
            )
        return [rule.read(tokens).answer for tokens in output[:, n_prompt:].tolist()]

    def _ends_of_turn(self) -> set[int]:
        """Return the tokens that end a turn: the tokenizer's, and those that end a generation."""
        stops = self.model.generation_config.eos_token_id
        return {self.eot_token_id, *(stops if isinstance(stops, list) else [stops])} - {None}

    def _autocast(self) -> Any:
        dtype = self.mixed_precision_dtype
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    # ------------------------------------------------------------------ likelihood

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[Answer]:
        """Score continuations; all one-token continuations of a prompt share one forward."""
        with_audio, results = self._begin(requests, super().loglikelihood, disable_tqdm)
        # One row for what the model must read; the last token of a continuation is not read.
        rows: dict[bytes, tuple[str, Sequence[Handle], tuple[int, ...]]] = {}
        asked: dict[bytes, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
        given = rendered(self, [requests[index] for index in with_audio])
        for index, (prompt, handles) in zip(with_audio, given, strict=True):
            tokens = self.continuation(prompt, requests[index].args[1])
            said = json.dumps([prompt, [dict(handle) for handle in handles], tokens[:-1]])
            key = sha256(said.encode()).digest()
            rows[key] = (prompt, handles, tokens[:-1])
            asked[key].append((index, tokens))
        bar = self._bar(len(with_audio), "Running loglikelihood requests", disable_tqdm)
        size, adaptive = self._batch_size()
        keys = list(rows)
        jobs = [(*rows[key], [tokens for _, tokens in asked[key]]) for key in keys]
        for at, answers in run_in_batches(
            jobs,
            self._score,
            order=self._order([(prompt, handles) for prompt, handles, *_ in jobs], size),
            batch_size=size,
            adaptive=adaptive,
            begin=self._begin_batch,
            n_ahead=BATCHES,
        ):
            for (index, _), answer in zip(asked[keys[at]], answers, strict=True):
                results[index] = answer
                self.cache_hook.add_partial("loglikelihood", requests[index].args, answer)
                bar.update(1)
        bar.close()
        self.ahead.end()
        return [results[index] for index in range(len(requests))]

    def continuation(self, prompt: str, continuation: str) -> tuple[int, ...]:
        """Return the tokens of a continuation as they follow the prompt."""
        text = self.family.text_before_answer(prompt)
        before = self.tok_encode(text, add_special_tokens=False)
        whole = self.tok_encode(text + continuation, add_special_tokens=False)
        if whole[: len(before)] == before and len(whole) > len(before):
            return tuple(whole[len(before) :])
        # A token reaches across the border: score the continuation as tokens of its own.
        return tuple(self.tok_encode(continuation, add_special_tokens=False))

    def _score(
        self,
        batch: Sequence[tuple[str, Sequence[Handle], tuple[int, ...], Sequence[tuple[int, ...]]]],
    ) -> list[list[Answer]]:
        """Return (log-probability, is greedy) of every continuation of every row."""
        rows = [(prompt, handles) for prompt, handles, *_ in batch]
        shared = self._shared(rows)
        inputs = self.deliver(*self.ahead.take(rows)) if shared is None else shared.whole()
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        n_prompt, n_more = ids.shape[1], max(len(job[2]) for job in batch)
        more = ids.new_full((len(batch), n_more), self.tokenizer.pad_token_id)
        seen = mask.new_zeros((len(batch), n_more))
        for row, job in enumerate(batch):
            more[row, : len(job[2])] = torch.tensor(job[2], dtype=ids.dtype)
            seen[row, : len(job[2])] = 1
        with (
            torch.inference_mode(),
            self._autocast(),
            editing.prompt_of(self.model, n_prompt),
            last_logits(editing.base_of(self.model), n_more + 1) as only_last,
            ExitStack() as stack,
        ):
            if shared is None:
                inputs = self.family.append(inputs, more, seen)
            else:
                shared = shared.followed_by(more, seen)
                stack.enter_context(editing.going_on(self.model, shared.whole()))
                inputs = shared.rest()
            logits = self.model(**inputs, **only_last).logits[:, -n_more - 1 :]
        logits = logits.log_softmax(-1, dtype=self.softmax_dtype or torch.float32)
        return [
            continuations_in(row, job[3], self.tok_decode)
            for row, job in zip(logits, batch, strict=True)
        ]
