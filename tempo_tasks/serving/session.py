"""Requests under way: bounded, each with a deadline, retried, spread over servers.

The harness's calls are plain functions, so the requests run in an event loop of a thread of their
own; what comes back is handled in the caller's thread, one answer after another.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tempo_tasks.errors import MissingPackageError, ServerError, ServerUnreachableError
from tempo_tasks.serving.api_arguments import ApiArguments
from tempo_tasks.serving.base_urls import root_of
from tempo_tasks.serving.completion import Completion, read_completion, read_object
from tempo_tasks.serving.traffic import Traffic
from tempo_tasks.serving.trouble import Trouble, Wait, of_status

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from openai import AsyncOpenAI

J = TypeVar("J")
R = TypeVar("R")
_NO_KEY = "none"  # the library wants one, and servers of one's own do not look at it


@dataclass(frozen=True)
class Answered:
    """An answer and where it came from.

    Attributes:
        completion: The answer.
        request_id: What the request was called, in its header X-Request-Id.
        server: Which of the servers answered.
        seconds: How long the attempt took.
    """

    completion: Completion
    request_id: str
    server: int
    seconds: float


class Session:
    """Open connections to all servers; made by `open_session`.

    Args:
        arguments: Where, and how patiently.
        traffic: What counts are added to.
        portal: Runs coroutines in the thread of the event loop.
    """

    def __init__(self, arguments: ApiArguments, traffic: Traffic, portal: BlockingPortal) -> None:
        self.arguments = arguments
        self.traffic = traffic
        self._portal = portal
        self._key = arguments.key()
        self._clients: list[AsyncOpenAI] = portal.call(self._connect)
        self._under_way = [0] * len(self._clients)

    async def _connect(self) -> list[AsyncOpenAI]:
        from openai import AsyncOpenAI

        # Retries are ours: the library's know nothing of bodies that are cut or malformed, and wait
        # no longer than a minute, whatever the server asks for.
        return [
            AsyncOpenAI(
                base_url=url,
                api_key=self._key or _NO_KEY,
                timeout=self.arguments.timeout,
                max_retries=0,
            )
            for url in self.arguments.base_urls
        ]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.close()

    # ------------------------------------------------------------------ many requests

    def each(self, jobs: Sequence[J], run: Callable[[J], Awaitable[R]]) -> Iterator[tuple[int, R]]:
        """Run jobs, at most `num_concurrent` at a time.

        After the first failure no job is begun; those under way come to their own end, so that no
        answer is lost that was paid for.

        Args:
            jobs: What is to be done.
            run: Does it.

        Yields:
            The index of a job and what came of it, in the order of completion.

        Raises:
            Exception: What `run` raised first.
        """
        left = iter(range(len(jobs)))
        running: dict[Future[R], int] = {}
        failure: BaseException | None = None
        try:
            while True:
                while failure is None and len(running) < self.arguments.num_concurrent:
                    index = next(left, None)
                    if index is None:
                        break
                    running[self._portal.start_task_soon(run, jobs[index])] = index
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index = running.pop(future)
                    error = future.exception()
                    if error is None:
                        yield index, future.result()
                    else:
                        failure = failure or error
        finally:
            for future in running:
                future.cancel()
        if failure is not None:
            raise failure

    def call(self, run: Callable[..., Awaitable[R]], *arguments: Any) -> R:
        """Run one coroutine function and wait for it."""
        return self._portal.call(run, *arguments)

    # ------------------------------------------------------------------ one request

    async def chat(self, body: Mapping[str, Any]) -> Answered:
        """Ask for one answer, with retries; with several servers, each attempt by the idlest.

        Args:
            body: The fields of a chat completion.

        Raises:
            ServerRefusedError: The server refuses the request.
            ServerUnreachableError: All attempts failed.
        """
        tried: list[int] = []

        async def attempt() -> Answered:
            server = min(
                range(len(self._clients)),
                key=lambda n: (tried.count(n), self._under_way[n], n),
            )
            tried.append(server)
            return await self._attempt(server, body)

        answered = await self._retried(attempt)
        self.traffic.answered(answered.completion, answered.seconds)
        return answered

    async def _attempt(self, server: int, body: Mapping[str, Any]) -> Answered:
        request_id = str(uuid.uuid4())
        standard = {name: body[name] for name in body if name not in _EXTENSIONS}
        extensions = {name: body[name] for name in body if name in _EXTENSIONS}
        begun = time.monotonic()

        async def send() -> Completion:
            raw = await self._clients[server].chat.completions.with_raw_response.create(
                **standard,
                extra_headers={"X-Request-Id": request_id},
                extra_body=extensions or None,
            )
            response = raw.http_response
            return read_completion(response.content, response.headers.get("content-type", ""))

        self._under_way[server] += 1
        try:
            completion = await self._within_deadline(send)
        finally:
            self._under_way[server] -= 1
        return Answered(completion, request_id, server, time.monotonic() - begun)

    async def get(self, server: int, path: str, *, retried: bool = True) -> dict[str, Any] | None:
        """Return the JSON object that a server has at a path.

        Args:
            server: Which of the servers.
            path: With a slash first: below the address without `/v1`; else below `base_url`.
            retried: Whether to try again.

        Returns:
            The object; None where the server has nothing there, or something else.

        Raises:
            ServerRefusedError: The server refuses the request for another reason.
            ServerUnreachableError: All attempts failed.
        """
        base = self.arguments.base_urls[server]
        url = f"{root_of(base)}{path}" if path.startswith("/") else f"{base}/{path}"

        async def send() -> dict[str, Any] | None:
            import openai

            try:
                text = await self._clients[server].get(url, cast_to=str)
            except openai.NotFoundError:
                return None
            except openai.APIStatusError as error:
                if error.status_code in (405, 501):
                    return None
                raise
            try:
                return read_object(text.encode(), "")
            except Trouble:  # a page for people, or plain text
                return None

        async def attempt() -> dict[str, Any] | None:
            return await self._within_deadline(send)

        return await (self._retried(attempt) if retried else self._once(attempt))

    async def _within_deadline(self, send: Callable[[], Awaitable[R]]) -> R:
        """Run one attempt; what the library raises becomes ours.

        The library's own timeout is of each read: a server that sends a byte now and then would
        never run into it.
        """
        import anyio
        import openai

        try:
            with anyio.fail_after(self.arguments.timeout):
                return await send()
        except (TimeoutError, openai.APITimeoutError) as error:
            seconds = self.arguments.timeout
            raise Trouble("timeout", f"no whole answer within {seconds:g} s") from error
        except openai.APIStatusError as error:
            body, retry_after = error.response.text, error.response.headers.get("retry-after")
            raised = of_status(error.status_code, self.without_key(body), retry_after)
            raise raised from None
        except openai.APIConnectionError as error:
            reason = self.without_key(str(error.__cause__ or error))
            raise Trouble("connection", f"the connection failed: {reason[:200]}") from None
        except Trouble as error:
            raise Trouble(error.kind, self.without_key(str(error)), error.retry_after) from None
        except UnicodeDecodeError as error:
            raise Trouble("bad answer", "an answer that is no UTF-8") from error

    async def _once(self, attempt: Callable[[], Awaitable[R]]) -> R:
        try:
            return await attempt()
        except Trouble as error:
            raise self._unreachable(error, 1) from error

    async def _retried(self, attempt: Callable[[], Awaitable[R]]) -> R:
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

        def count(state: Any) -> None:
            error = state.outcome.exception()
            self.traffic.retries[error.kind] += 1

        attempts = self.arguments.max_retries + 1
        try:
            async for one in AsyncRetrying(
                stop=stop_after_attempt(attempts),
                wait=Wait(self.arguments.retry_wait),
                retry=retry_if_exception_type(Trouble),
                before_sleep=count,
                reraise=True,
            ):
                with one:
                    return await attempt()
        except Trouble as error:
            raise self._unreachable(error, attempts) from error
        raise AssertionError("tenacity returns or raises")

    def _unreachable(self, error: Trouble, attempts: int) -> ServerUnreachableError:
        where = " or ".join(self.arguments.base_urls)
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        return ServerUnreachableError(f"{where}: no answer in {tries}; the last time, {error}")

    def without_key(self, text: str) -> str:
        """Return a text without the key: a server may say it back."""
        return text.replace(self._key, "(key)") if self._key else text


_EXTENSIONS = ("vllm_xargs", "top_k", "min_p", "repetition_penalty")
"""Fields that the OpenAI interface does not have; the library hands them on unread."""


@contextmanager
def open_session(arguments: ApiArguments, traffic: Traffic) -> Iterator[Session]:
    """Connect to the servers, and close all connections at the end.

    Raises:
        MissingPackageError: The packages of the extra `serve` are not installed.
        OptionError: A variable for the key is named that is not set.
    """
    try:
        import openai  # noqa: F401
        import tenacity  # noqa: F401
        from anyio.from_thread import start_blocking_portal
    except ImportError as error:
        raise MissingPackageError(
            f"lalm-api needs the package {error.name}; install it with: "
            "pip install 'tempo-lalm[serve]'"
        ) from error
    with start_blocking_portal() as portal:
        session = Session(arguments, traffic, portal)
        try:
            yield session
        finally:
            portal.call(session.close)


def said_of(error: ServerError, done: int, total: int) -> ServerError:
    """Return the error with how far a run came, and how it goes on.

    Args:
        error: What ended it.
        done: Requests that were answered.
        total: All requests.
    """
    return type(error)(
        f"{error}\n{done} of {total} requests of this kind were answered. With --use_cache FILE "
        "their answers are kept, and the same command asks for the missing ones only"
    )
