"""A vLLM server in an environment of its own, and what the tests ask it."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.sources.synth.scene import wav_bytes
from tempo_tasks.tiny import WEIGHTS_DIR
from tests.support.paths import ROOT

PYTHON = Path(os.environ.get("TEMPO_SERVING_PYTHON", ROOT / ".venv-serving" / "bin" / "python"))
STARTUP_SECONDS = 900  # 40 on an idle machine with two cores


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP status.
        letters: Log-probability of each letter as the first token.
        tokens: Log-probability of each generated token.
        text: The answer.
        prompt_tokens: Tokens of the prompt.
        edits: What `/tempo/edits/ID` says of it.
        error: The error's message.
    """

    status: int
    letters: list[float]
    tokens: list[float]
    text: str
    prompt_tokens: int
    edits: dict
    error: str = ""


class VllmServer:
    """A server started by `tempo serve`, or by vLLM itself; ended with all its processes.

    Args:
        log: The file for what it prints.
        options: Options of `tempo serve`.
        arguments: Arguments of `vllm serve`.
        environment: Further variables.
        by_vllm: Start it by `vllm serve`, as somebody who sets the variables by hand.
    """

    def __init__(self, log, options=(), arguments=(), environment=None, by_vllm=False):
        self.log = Path(log)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [str(PYTHON), "-m", "tempo_tasks", "serve", "embedded", *options]
        command += ["--port", str(self.port), "--", "--max-model-len", "512", *arguments]
        if by_vllm:
            command = [str(PYTHON.with_name("vllm")), "serve", str(WEIGHTS_DIR), *arguments]
        quiet = {
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.log.parent,
                env={**os.environ, **quiet, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_up(self):
        """Wait for the first answer; an end before it is an error with the end of the log."""
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.log.read_text()[-4000:]}")
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
                return self
            except OSError:
                time.sleep(1)
        raise AssertionError(f"no answer in time:\n{self.log.read_text()[-4000:]}")

    def wait_until_refused(self):
        """Wait for its end, and return what it printed."""
        assert self.process.wait(STARTUP_SECONDS) != 0
        return self.log.read_text()

    def stop(self):
        """End it as Ctrl-C does; whatever is left after that is killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def get(self, path):
        """Return the JSON of an address."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
            return json.load(answer)

    def ask(self, text, wave=None, edit=None, **more):
        """Ask for one answer.

        Args:
            text: The question; `<audio>` at its beginning stands for the wave.
            wave: The waveform at 16 kHz; None for a question without audio.
            edit: The configuration's name.
            more: Further fields of the request.
        """
        content = [{"type": "text", "text": text.replace("<audio>", "").lstrip("\n")}]
        if wave is not None:
            data = base64.b64encode(wav_bytes(wave)).decode()
            audio = {"data": data, "format": "wav"}
            content.insert(0, {"type": "input_audio", "input_audio": audio})
        body = {
            "model": "embedded",
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 20,
            **more,
        }
        if edit is not None:
            body["vllm_xargs"] = {"tempo_attn_scale": edit}
        own_id = str(uuid.uuid4())
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "X-Request-Id": own_id},
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            message = json.loads(error.read())["error"]["message"]
            return Answer(error.code, [], [], "", 0, {}, message)
        choice = answer["choices"][0]
        steps = (choice.get("logprobs") or {}).get("content") or []
        first = {top["token"]: top["logprob"] for top in steps[0]["top_logprobs"]} if steps else {}
        return Answer(
            200,
            [first.get(letter, float("nan")) for letter in LETTERS],
            [step["logprob"] for step in steps],
            choice["message"]["content"],
            answer["usage"]["prompt_tokens"],
            self.get(f"/tempo/edits/{own_id}"),
        )
