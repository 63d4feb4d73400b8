"""A model on a server: connections, and questions with clips put to it, one at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tempo_tasks
from tempo_attn.lab.run_folder.fingerprints import code_fingerprint
from tempo_tasks.audio import Handle, Wave, read_audio
from tempo_tasks.errors import ServerRefusedError
from tempo_tasks.serving import served_edits
from tempo_tasks.serving.api_arguments import ApiArguments
from tempo_tasks.serving.chat import messages_of, render
from tempo_tasks.serving.clip_upload import audio_part
from tempo_tasks.serving.completion import Completion
from tempo_tasks.serving.server_info import ask_servers
from tempo_tasks.serving.session import Session, open_session
from tempo_tasks.serving.traffic import Traffic

_log = logging.getLogger(__name__)


class ServedModel:
    """A model on one server or on several that are the same.

    Args:
        arguments: What it is told.

    Attributes:
        arguments: What it was told.
        limits: What audio is accepted.
        clips: None: no waveform is kept, every clip is sent once a request.
        traffic: What it took so far.
        server: What the server is.
        model: The id that it is asked by.
        edit: The configuration that answers are edited with; None for the plain model.
        gives_logprobs: Whether the server gives log-probabilities; None before it was asked.

    Raises:
        OptionError: The server has no such model or edit.
        ServersDifferError: The servers are not the same.
        ServerError: One cannot be reached, or refuses.
    """

    clips: None = None

    def __init__(self, arguments: ApiArguments) -> None:
        self.arguments = arguments
        self.limits = arguments.limits
        self.traffic = Traffic()
        self.gives_logprobs: bool | None = None
        self._session: Session | None = None
        with self.connected() as session:
            self.server, self.model = ask_servers(session, arguments.model)
        self.edit = self._chosen_edit()

    @property
    def edits_by_default(self) -> bool:
        """Whether the server edits without being asked to."""
        return self.edit is not None and self.arguments.attn_scale is None

    def _chosen_edit(self) -> str | None:
        wanted, edits = self.arguments.attn_scale, self.server.edits
        if wanted is None:
            return None if edits is None else edits.default
        chosen = served_edits.choose(wanted, edits)
        return None if chosen == served_edits.PLAIN else chosen

    @property
    def sampling_rate(self) -> int:
        """Sampling rate of the clips that are sent, in Hz."""
        return self.arguments.sampling_rate

    @property
    def window_seconds(self) -> float:
        """The longest clip that is sent, in seconds."""
        return self.arguments.max_seconds or float("inf")

    def render(self, context: str, handles: Sequence[Any]) -> str:
        """Return a context as the JSON of a chat, with `<audio>` where its clips stand."""
        return render(context, len(handles))

    def waves(self, handles: Sequence[Handle]) -> list[Wave]:
        """Decode clips at the rate at which they are sent; mono, (samples,) float32 each."""
        return [read_audio(handle, self.sampling_rate, self.limits) for handle in handles]

    def identity(self) -> dict[str, Any]:
        """Return all that answers depend on, as far as a server tells; no URL and no key."""
        return {
            **self.server.identity(self.model),
            "attn_scale": (self.described_edit() or {}).get("sha256"),
            "arguments": self.arguments.of_answers(),
            "code": code_fingerprint(tempo_tasks),
        }

    def described_edit(self) -> dict[str, Any] | None:
        """Return the edit's hash and fields; None for the plain model."""
        edits = self.server.edits
        return None if edits is None else edits.describe(self.edit)

    @contextmanager
    def connected(self) -> Iterator[Session]:
        """Hold connections open inside the context; one inside another shares them."""
        if self._session is not None:
            yield self._session
            return
        with open_session(self.arguments, self.traffic) as session:
            self._session = session
            try:
                yield session
            finally:
                self._session = None

    async def ask(
        self,
        chat: str,
        clips: Sequence[Handle] | Sequence[Wave],
        fields: Mapping[str, Any],
        *,
        edit: str | None = None,
    ) -> Completion:
        """Ask one question inside `connected`.

        Args:
            chat: What `render` returned.
            clips: Handles or waveforms, one for each placeholder.
            fields: Further fields of the request.
            edit: The configuration that edits it; None for the plain model.

        Raises:
            ServerError: There is no answer.
            EditNotAppliedError: It was answered without the edit.
        """
        import anyio

        session = self._session
        assert session is not None, "ask() outside of connected()"
        messages = await anyio.to_thread.run_sync(self._messages, chat, clips)
        body: dict[str, Any] = {"model": self.model, "messages": messages, **fields}
        if self.server.edits is not None:
            body["vllm_xargs"] = {"tempo_attn_scale": edit or served_edits.PLAIN}
        answered = await session.chat(body)
        if self.server.edits is not None and edit is not None:
            # Not `+= await`: the sum would be read before, and other requests' rows be lost.
            rows = await served_edits.check_applied(session, answered, edit)
            self.traffic.edited_rows += rows
        return answered.completion

    def _messages(self, chat: str, clips: Sequence[Any]) -> list[dict[str, Any]]:
        handles = bool(clips) and isinstance(clips[0], dict)
        waves = self.waves(clips) if handles else clips
        parts = [
            audio_part(
                wave,
                self.sampling_rate,
                audio_format=self.arguments.audio_format,
                kind=self.arguments.audio_part,
            )
            for wave in waves
        ]
        return messages_of(chat, parts)

    def first_token_fields(self) -> dict[str, Any]:
        """Return the fields of a request for one token."""
        return {"temperature": 0.0, "max_tokens": 1}

    def logprob_fields(self) -> dict[str, Any]:
        """Return the fields of a request for the first token's log-probabilities."""
        return {
            **self.first_token_fields(),
            "logprobs": True,
            "top_logprobs": self.arguments.top_logprobs,
        }

    def first_token(
        self, chat: str, waves: Sequence[Wave], *, logprobs: bool = True, edit: str | None = None
    ) -> Completion:
        """Ask for one token, by the plain model unless said otherwise.

        Args:
            chat: What `render` returned.
            waves: The clips.
            logprobs: Whether to ask for log-probabilities; a server that refuses them is asked
                without.
            edit: The configuration that edits it.

        Raises:
            ServerError: There is no answer.
        """
        plain = self.first_token_fields()
        with self.connected() as session:

            def get(fields: Mapping[str, Any]) -> Completion:
                async def run() -> Completion:
                    return await self.ask(chat, waves, fields, edit=edit)

                return session.call(run)

            if not logprobs or self.gives_logprobs is False:
                return get(plain)
            try:
                found = get(self.logprob_fields())
            except ServerRefusedError as refused:
                found = get(plain)  # if that is refused too, it is not for the log-probabilities
                self.gives_logprobs = False
                _log.warning("the server refuses log-probabilities: %s", refused)
            else:
                self.gives_logprobs = found.first_tokens is not None
            return found
