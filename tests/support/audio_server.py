"""A small OpenAI-compatible server in a thread, which hears, and misbehaves when it is told to.

Its "model" answers a letter that depends on the audio's samples and on the text, so that an answer
tells which request it belongs to.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import soundfile

LETTERS = "ABCD"
Fault = Callable[["Handler", dict[str, Any]], None]


@dataclass
class AudioServer:
    """What the server is, and what it was asked.

    Attributes:
        logprobs: What becomes of the wish for them: "given", "refused" or "absent".
        letters: How a letter's token is written.
        likelier: Further tokens and their log-probabilities.
        spoken: What is said with a letter.
        fickle: Whether an answer depends on how many there were before.
        disturbed: Whether it depends on how many are under way.
        count: Prompt tokens by seconds of audio and words of text.
        faults: Misbehaviour for the next chat requests, one each; None for a proper answer.
        always: Misbehaviour for every chat request after those.
        edits: What `/tempo/edits` lists; None without that interface.
        accounts: Of edited requests, by request id.
        asked: Bodies of the chat requests that were answered properly, with their headers.
        received: How many chat requests came in, whatever became of them.
    """

    model: str = "hearing-model"
    owner: str = "vllm"
    root: str | None = "me/hearing-model"
    version: str | None = "0.32.0"
    logprobs: str = "given"
    usage: bool = True
    deaf: bool = False
    tokens_a_second: float = 25.0
    letters: str = "{}"
    likelier: list[tuple[str, float]] = field(default_factory=list)
    spoken: str = "\n{}\nas I hear"
    fickle: bool = False
    disturbed: bool = False
    count: Callable[[float, int], int] | None = None
    key: str | None = None
    listed: bool = True
    faults: list[Fault | None] = field(default_factory=list)
    always: Fault | None = None
    edits: dict[str, Any] | None = None
    skip_edit: bool = False
    accounts: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[dict[str, Any], dict[str, str]]] = field(default_factory=list)
    received: int = 0
    most_at_a_time: int = 0
    delay: float = 0.0
    url: str = ""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def fault(self) -> Fault | None:
        with self._lock:
            self.received += 1
            return self.faults.pop(0) if self.faults else self.always


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: AudioServer

    def log_message(self, *args: Any) -> None:
        pass

    def send(
        self,
        status: int,
        body: bytes | dict[str, Any],
        content_type: str = "application/json",
        **headers: str,
    ) -> None:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        state = self.state
        if self.path == "/v1/models" and state.listed:
            entry = {"id": state.model, "owned_by": state.owner, "root": state.root}
            return self.send(200, {"object": "list", "data": [entry]})
        if self.path == "/version" and state.version:
            return self.send(200, {"version": state.version})
        if self.path == "/tempo/edits" and state.edits is not None:
            return self.send(200, state.edits)
        if self.path.startswith("/tempo/edits/") and state.edits is not None:
            account = state.accounts.get(self.path.rpartition("/")[2])
            if account is not None:
                return self.send(200, account)
        return self.send(404, {"error": {"message": "Not Found"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state = self.state
        if state.key is not None and self.headers["Authorization"] != f"Bearer {state.key}":
            told = f"Incorrect API key provided: {self.headers['Authorization']}"
            return self.send(401, {"error": {"message": told}})
        with state._lock:
            state._now += 1
            state.most_at_a_time = max(state.most_at_a_time, state._now)
        try:
            fault = state.fault()
            if fault is not None:
                return fault(self, body)
            if state.delay:
                time.sleep(state.delay)
            if body.get("logprobs") and state.logprobs == "refused":
                told = "Unsupported fields in the request: {'logprobs'}"
                return self.send(422, {"detail": told})
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.asked.append((body, headers))
            self.send(200, self.answer(body))
        finally:
            with state._lock:
                state._now -= 1

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        state = self.state
        wave, rate, text = heard(body)
        edit = (body.get("vllm_xargs") or {}).get("tempo_attn_scale", "none")
        if state.edits is not None:
            name = None if edit == "none" or state.skip_edit else edit
            self.state.accounts[self.headers["X-Request-Id"]] = {
                "request_id": self.headers["X-Request-Id"],
                "configuration": name,
                "edited_rows": 0 if name is None else 4,
                "audio_keys": 25,
                "layers": [0],
            }
        seed = text.encode() + edit.encode() + (b"" if state.deaf else wave.tobytes())
        seed += str(state.received).encode() if state.fickle else b""
        seed += str(state._now).encode() if state.disturbed and state._now > 1 else b""
        digest = hashlib.sha256(seed).digest()
        scores = np.array([value / 64 for value in digest[:4]])
        scores -= np.log(np.exp(scores).sum() + 0.5)
        letter = LETTERS[int(scores.argmax())]
        told = [*zip(map(state.letters.format, LETTERS), scores.tolist(), strict=True)]
        told += [("The", -7.5), ("<|end|>", -8.25), *state.likelier]
        told.sort(key=lambda pair: -pair[1])
        entries = [{"token": t, "logprob": p, "bytes": None} for t, p in told]
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": state.spoken.format(letter)},
            "finish_reason": "stop",
        }
        if body.get("logprobs") and state.logprobs == "given":
            listed = entries[: body["top_logprobs"]]
            choice["logprobs"] = {"content": [{**entries[0], "top_logprobs": listed}]}
        answer = {"id": "x", "model": state.model, "choices": [choice]}
        if state.usage:
            n_audio = 0 if state.deaf else int(len(wave) / rate * state.tokens_a_second)
            seconds, n_words = len(wave) / rate, len(text.split())
            n_prompt = state.count(seconds, n_words) if state.count else n_words + n_audio
            answer["usage"] = {
                "prompt_tokens": n_prompt,
                "completion_tokens": 3,
                "total_tokens": 0,
            }
        return answer


def heard(body: dict[str, Any]) -> tuple[Any, int, str]:
    """The samples, the rate and the text of a request."""
    waves, texts, rate = [], [], 16_000
    for message in body["messages"]:
        parts = message["content"]
        for part in [{"type": "text", "text": parts}] if isinstance(parts, str) else parts:
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                data = part.get("input_audio", {}).get("data")
                data = data or part["audio_url"]["url"].rpartition(",")[2]
                wave, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
                waves.append(wave)
    whole = np.concatenate(waves) if waves else np.zeros(0, np.float32)
    return whole, rate, "".join(texts)


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *args: Any) -> None:
        """Clients that run out of patience hang up; that is no news here."""


@contextmanager
def audio_server(**settings: Any) -> Iterator[AudioServer]:
    """The server, ended at the end of the context whatever happens."""
    state = AudioServer(**settings)
    handler = type("Bound", (Handler,), {"state": state})
    server = Quiet(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


# ------------------------------------------------------------------ misbehaviour


def status(code: int, message: str = "busy", **headers: str) -> Fault:
    return lambda handler, body: handler.send(code, {"error": {"message": message}}, **headers)


def says(content: bytes, content_type: str = "application/json") -> Fault:
    return lambda handler, body: handler.send(200, content, content_type)


def cut(handler: Handler, body: dict[str, Any]) -> None:
    """Half of the body that was announced, and the connection is gone."""
    content = json.dumps(handler.answer(body)).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.close_connection = True


def hang_up(handler: Handler, body: dict[str, Any]) -> None:
    """No answer at all."""
    handler.close_connection = True


def silent(handler: Handler, body: dict[str, Any]) -> None:
    """Nothing for longer than anyone waits in these tests."""
    time.sleep(2.5)
    handler.close_connection = True


def slow_drip(handler: Handler, body: dict[str, Any]) -> None:
    """A byte now and then: each read succeeds, and the answer never ends."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    try:
        for _ in range(100):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass
    handler.close_connection = True


FAULTS: dict[str, tuple[Fault, str]] = {
    "429 with Retry-After": (status(429, Retry_After="0.3"), "HTTP 429"),
    "500": (status(500), "HTTP 500"),
    "503": (status(503), "HTTP 503"),
    "a timeout": (silent, "timeout"),
    "a cut body": (cut, "connection"),
    "no answer": (hang_up, "connection"),
    "malformed JSON": (says(b'{"choices": [{"mess'), "bad answer"),
    "a key twice": (says(b'{"choices": [], "choices": []}'), "bad answer"),
    "empty choices": (says(b'{"choices": []}'), "bad answer"),
    "no message": (says(b'{"choices": [{}]}'), "bad answer"),
    "a page": (says(b"<html>Sign in</html>", "text/html"), "bad answer"),
    "no UTF-8": (says(b'{"choices": "\xff"}'), "bad answer"),
    "slow drip": (slow_drip, "timeout"),
}
"""Misbehaviour by name, and what the results call it."""
