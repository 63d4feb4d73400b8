"""The model class `lalm-api`: an audio language model behind an OpenAI-compatible server.

The same tasks, samples and audits as with `lalm`, for what another machine serves: vLLM, llama.cpp,
transformers serve, OpenAI.
"""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from tqdm import tqdm

import tempo_tasks
from tempo_attn.errors import OptionError
from tempo_tasks.audio import Handle
from tempo_tasks.errors import LogprobsError, ServerError
from tempo_tasks.harness import response_cache
from tempo_tasks.harness.control_tokens import refuse_control_tokens
from tempo_tasks.serving.api_arguments import read_arguments
from tempo_tasks.serving.base_urls import base_urls, further_urls
from tempo_tasks.serving.chat import chat_text
from tempo_tasks.serving.generation_fields import answer_of, generation_fields
from tempo_tasks.serving.hearing_through_server import HearingThroughServer
from tempo_tasks.serving.letters import letter_scores
from tempo_tasks.serving.served_model import ServedModel
from tempo_tasks.serving.server_info import public_name
from tempo_tasks.serving.session import Session, said_of

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

R = TypeVar("R")
Answer = tuple[float, bool]
Row = tuple[str, list[Handle]]
_log = logging.getLogger(__name__)
_CONTROL = re.compile(r"<\|[\w-]+\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
"""What begins or ends a turn in chat templates; a server does not tell which its tokenizer has."""


@register_model("lalm-api")
class LALMApi(ServedModel, LM):  # type: ignore[misc]
    """A model on a server; see `ApiArguments` for what it is told.

    Args:
        arguments: `base_url`, one or several, and the fields of `ApiArguments`.

    Attributes:
        hearing: What was found of its clips and of its hearing.

    Raises:
        OptionError: See `read_arguments`; or the server has no such model or edit.
        ServerError: The server cannot be reached, or refuses.

    Example:
        >>> import lm_eval
        >>> lm_eval.simple_evaluate(  # doctest: +SKIP
        ...     model="lalm-api",
        ...     model_args={"base_url": "http://127.0.0.1:8000/v1"},
        ...     tasks=["tempo_synth_eo_aqa"],
        ... )
    """

    MULTIMODAL = True

    def __init__(self, **arguments: Any) -> None:
        LM.__init__(self)
        ServedModel.__init__(self, read_arguments(arguments))
        self.hearing = HearingThroughServer()
        if self.edits_by_default:
            _log.warning(
                "the server edits attention by default, with %r: its answers are not the plain "
                "model's. attn_scale=none asks for that",
                self.edit,
            )

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> LALMApi:
        """Make a model as lm_eval does; the results' folder is named after the served model."""
        further = further_urls(arg_dict)
        if further:  # as lm_eval has split them at their commas
            arg_dict["base_url"] = [*base_urls(arg_dict.get("base_url")), *further]
            for url in further:
                del arg_dict[url]
        lm = cls(**arg_dict, **(additional_config or {}))
        arg_dict.setdefault("model", public_name(lm.model))
        return lm

    # ------------------------------------------------------------------ what the harness asks

    @property
    def tokenizer_name(self) -> str:
        """The server's model: what the harness names its cached requests by."""
        return re.sub(r"[^\w.-]+", "__", public_name(self.model))

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return None: the server has the template, and applies it to every request."""
        return None

    def apply_chat_template(
        self, chat_history: list[dict[str, Any]], add_generation_prompt: bool = True
    ) -> str:
        """Return a chat's messages as JSON; see `tempo_tasks.serving.chat`."""
        return chat_text(chat_history)

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Take a response cache, which must be empty or this model's, with these settings.

        Raises:
            CacheMismatchError: It is not.
            AudioNotDeliveredError: It holds answers about audio, and the model does not hear.
        """
        super().set_cache_hook(cache_hook)
        if cache_hook.dbdict is not None:
            response_cache.claim(cache_hook.dbdict, self.identity())
            with self.connected():
                self.hearing.before_cached_answers(self, cache_hook.dbdict)

    def get_model_info(self) -> dict[str, Any]:
        """Return what the results say of the model, the server and what was asked of it."""
        edits = self.server.edits
        return {
            "tempo": {
                "version": tempo_tasks.__version__,
                "family": None,
                "pretrained": public_name(self.model),
                "weights": None,
                "think_end_token": self.arguments.think_end_token,
                "attn_scale": self.described_edit(),
                "attn_scale_by_default": self.edit if self.edits_by_default else None,
                "served": {
                    **self.server.identity(self.model),
                    "servers": len(self.arguments.base_urls),
                    "answered_as": sorted(map(public_name, self.traffic.models)),
                    "plugin": None if edits is None else dict(edits.versions),
                    "audio": {
                        "format": self.arguments.audio_format,
                        "part": self.arguments.audio_part,
                        "sampling_rate": self.sampling_rate,
                    },
                },
                "checks": self.hearing.to_dict(),
                "traffic": self.traffic.to_dict(
                    price_in=self.arguments.price_in,
                    price_audio_in=self.arguments.price_audio_in,
                    price_out=self.arguments.price_out,
                ),
            }
        }

    # ------------------------------------------------------------------ requests

    def _begin(
        self, requests: Sequence[Instance], progress: bool
    ) -> list[tuple[str, list[Handle]]]:
        """Check texts and clips, prove hearing; return the chats with their clips."""
        rows = []
        for request in requests:
            given = request.args[2] if len(request.args) > 2 else {}
            handles = list(given.get("audio") or [])
            rows.append((self.render(request.args[0], handles), handles))
        documents = [request.doc for request in requests]
        texts = (doc.get("prompt") for doc in documents if isinstance(doc, Mapping))
        found = {
            token for text in texts if isinstance(text, str) for token in _CONTROL.findall(text)
        }
        refuse_control_tokens(documents, frozenset(found), public_name(self.model))
        without = sum(not handles for _, handles in rows)
        if self.edit is not None and without and self.arguments.attn_scale_missing == "raise":
            raise OptionError(
                f"{without} requests have no audio, and attn_scale edits attention on audio. Leave "
                "their tasks (such as *_cqa) out, or pass attn_scale_missing=warn to ask the plain "
                "model"
            )
        with_audio = [r for r, (_, handles) in zip(requests, rows, strict=True) if handles]
        if with_audio:
            self.hearing.before_requests(
                self, with_audio, self.cache_hook.dbdict, progress=progress
            )
        return rows

    def _edit_of(self, handles: Sequence[Handle]) -> str | None:
        return self.edit if handles else None

    def _answers(
        self,
        jobs: Sequence[Any],
        run: Callable[[Any], Awaitable[R]],
        session: Session,
        bar: Any,
    ) -> Iterator[tuple[int, R]]:
        """Yield the answers; an error says how far the run came."""
        done = 0
        try:
            for index, found in session.each(jobs, run):
                done += 1
                yield index, found
        except ServerError as error:
            bar.close()
            raise said_of(error, done, len(jobs)) from error

    def _bar(self, total: int, text: str, disable: bool) -> Any:
        return tqdm(total=total, desc=text, disable=disable or not total)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Generate answers; see lm-eval's `LM`."""
        results: dict[int, str] = {}
        with self.connected() as session:
            fields = [generation_fields(request.args[1], self._thinking()) for request in requests]
            rows = self._begin(requests, progress=not disable_tqdm)

            async def run(index: int) -> str:
                chat, handles = rows[index]
                found = await self.ask(chat, handles, fields[index], edit=self._edit_of(handles))
                return answer_of(
                    found.text, requests[index].args[1], self.arguments.think_end_token
                )

            with self._bar(len(rows), "Requesting generate_until answers", disable_tqdm) as bar:
                for index, text in self._answers(range(len(rows)), run, session, bar):
                    results[index] = text
                    self.cache_hook.add_partial("generate_until", requests[index].args, text)
                    bar.update(1)
        return [results[index] for index in range(len(requests))]

    def _thinking(self) -> int:
        return self.arguments.max_thinking_toks if self.arguments.think_end_token else 0

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[Answer]:
        """Score single letters; all letters of a prompt share one request.

        Raises:
            OptionError: Other continuations than single letters.
            LogprobsError: The server gives no log-probabilities, or not those of a letter.
        """
        results: dict[int, Answer] = {}
        with self.connected() as session:
            rows = self._begin(requests, progress=not disable_tqdm)
            if rows and self.gives_logprobs is False:
                raise LogprobsError(
                    "the server refuses log-probabilities: tasks by likelihood (those with _ll) "
                    "cannot be scored through it; take those by generation"
                )
            asked: dict[str, list[int]] = defaultdict(list)
            for index, (chat, handles) in enumerate(rows):
                asked[json.dumps([chat, handles])].append(index)
            groups = list(asked.values())

            async def run(group: list[int]) -> list[Answer]:
                chat, handles = rows[group[0]]
                found = await self.ask(
                    chat, handles, self.logprob_fields(), edit=self._edit_of(handles)
                )
                letters = [requests[index].args[1] for index in group]
                scores = letter_scores(found, letters, missing=self.arguments.missing_letters)
                self.traffic.floored_letters += scores.floored
                return scores.answers

            with self._bar(len(rows), "Requesting loglikelihood answers", disable_tqdm) as bar:
                for at, answers in self._answers(groups, run, session, bar):
                    for index, answer in zip(groups[at], answers, strict=True):
                        results[index] = answer
                        request = requests[index]
                        self.cache_hook.add_partial("loglikelihood", request.args, answer)
                        bar.update(1)
        return [results[index] for index in range(len(requests))]

    def loglikelihood_rolling(self, requests: list[Instance], **_: Any) -> list[float]:
        """Refuse: servers do not score whole texts by chat.

        Raises:
            LogprobsError: Always.
        """
        raise LogprobsError(
            "lalm-api cannot score whole texts: a server tells the log-probabilities of what it "
            "generates only. Use lalm"
        )
