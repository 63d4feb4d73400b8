"""What an edit costs on a vLLM server: time of an item, plain and edited, on one server in one run.

The server is started by `tempo serve embedded` and ended afterwards. In each round all arms run in
shuffled order, and ratios are taken within a round, so that a busy machine disturbs all alike; the
ratio is that of the CPU time of all processes of the server, which waits for nobody. Each
request has a salt of its own, so that no arm reads another request's prefix from vLLM's cache: an
edited request never does, a plain one would here, where the same items are asked again and again.

    make test-serving                       # makes .venv-serving
    python benchmarks/serving.py --json benchmarks/results/serving.json
"""

import argparse
import base64
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from about_this_run import machine
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap
from tqdm import tqdm

from tempo_attn import AttnScaleConfig
from tempo_attn.files.atomic import replacing
from tempo_tasks.audio import read_audio
from tempo_tasks.prompts import make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.synth.scene import wav_bytes
from tempo_tasks.sources.synth.testset import load_synth

ARMS = {
    "plain": None,
    "one layer, keyword+last": AttnScaleConfig(strength=1.5, layers=[3], queries="keyword+last"),
    "one layer, all text": AttnScaleConfig(strength=1.5, layers=[3], queries="all_text"),
    "all layers, all text": AttnScaleConfig(strength=1.5, queries="all_text"),
}


def main() -> None:
    """Measures, and prints a table; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=".venv-serving/bin/python", help="has vLLM and tempo")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--items", type=int, default=32, help="items of one arm in one round")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", type=Path, help="write the report to this file")
    options = parser.parse_args()
    bodies = list(_bodies(options.items))
    with tempfile.TemporaryDirectory() as folder:
        server, url = _start(options.python, Path(folder))
        try:
            _wait(server, url, Path(folder))
            rows = [
                row for n in options.at_once for row in _measure(server, url, bodies, n, options)
            ]
            about = _get(f"{url}/tempo/edits")
        finally:
            _stop(server)
    report = {
        "what": "time of an item on a vLLM server, edited as a ratio of plain",
        "clock": "CPU time of the server's processes; items a second by the wall clock",
        "command": "python benchmarks/serving.py "
        f"--items {options.items} --rounds {options.rounds}",
        "machine": machine(),
        "vllm": about["vllm"],
        "model": "embedded (1.9 M parameters, float32); client and server on the same cores",
        "prompt": "one clip of at most 10 s and a question, about 190 tokens; one token is asked",
        "items_per_round": options.items,
        "rounds": options.rounds,
        "edited_prompts": about["totals"]["edited_prompts"],
        "rows": rows,
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


def _bodies(n):
    """Requests of the first rendered scenes."""
    questions = load_synth(Kind.EO, scenes=max(n, 24))
    for question in questions.questions[:n]:
        prompt = make_prompt(question, Condition.AQA, audio=questions.audio[question.clip_id])
        data = base64.b64encode(wav_bytes(read_audio(prompt.audio[0], 16_000))).decode()
        audio = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
        text = {"type": "text", "text": prompt.text.replace("<audio>", "").lstrip("\n")}
        yield {
            "model": "embedded",
            "messages": [{"role": "user", "content": [audio, text]}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 8,
        }


def _start(python, folder):
    edits = []
    for number, config in enumerate(ARMS.values()):
        if config is not None:
            config.save_pretrained(folder / f"arm{number}")
            edits += ["--attn-scale", f"arm{number}={folder / f'arm{number}'}"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [os.path.abspath(python), "-m", "tempo_tasks", "serve", "embedded", *edits]
    command += ["--default", "none", "--port", port, "--", "--max-model-len", "512"]
    quiet = {"VLLM_NO_USAGE_STATS": "1", "OMP_NUM_THREADS": "1"}
    quiet["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command,
            env={**os.environ, **quiet},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return server, f"http://127.0.0.1:{port}"


def _wait(server, url, folder):
    for _ in range(600):
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"the server did not start:\n{(folder / 'server.log').read_text()[-3000:]}")


def _stop(server):
    server.send_signal(signal.SIGINT)
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)


def _get(address):
    with urllib.request.urlopen(address, timeout=60) as answer:
        return json.load(answer)


def _measure(server, url, bodies, at_once, options):
    """Rates and CPU time of all arms with `at_once` requests under way."""
    rates = {name: [] for name in ARMS}
    cpu = {name: [] for name in ARMS}
    order = random.Random(0)
    with ThreadPoolExecutor(at_once) as pool:
        for round_number in tqdm(range(options.rounds + 1), desc=f"{at_once} at once"):
            for name in order.sample(sorted(ARMS), len(ARMS)):
                edit = "none" if ARMS[name] is None else f"arm{list(ARMS).index(name)}"
                begin, used = time.perf_counter(), _cpu_seconds(server.pid)
                list(pool.map(lambda body, edit=edit: _ask(url, body, edit), bodies))
                if round_number:  # the first one fills vLLM's cache of decoded clips
                    rates[name].append(len(bodies) / (time.perf_counter() - begin))
                    cpu[name].append((_cpu_seconds(server.pid) - used) / len(bodies))
    return [
        {
            "at_once": at_once,
            "arm": name,
            "items_per_second": round(float(np.median(rates[name])), 2),
            "cpu_ms_per_item": round(1000 * float(np.median(cpu[name])), 1),
            **_ratio(cpu[name], cpu["plain"]),
        }
        for name in ARMS
    ]


def _cpu_seconds(session):
    """CPU time so far of all processes of a session, in seconds (Linux)."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[3]) == session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _ask(url, body, edit):
    salted = {**body, "cache_salt": str(uuid.uuid4()), "vllm_xargs": {"tempo_attn_scale": edit}}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(salted).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        json.load(answer)


def _ratio(times, plain):
    """Median ratio within rounds, with a 95 % bootstrap interval of the median."""
    ratios = np.array(times) / np.array(plain)
    if np.ptp(ratios) == 0:
        low = high = ratios[0]
    else:
        result = bootstrap((ratios,), np.median, method="percentile", rng=np.random.default_rng(0))
        low, high = result.confidence_interval
    return {
        "ratio": round(float(np.median(ratios)), 4),
        "ratio_ci95": [round(float(low), 4), round(float(high), 4)],
    }


def _print(report):
    table = Table(title=f"vLLM {report['vllm']}; {report['machine']}")
    for column in ("at once", "arm", "items/s", "CPU ms an item", "added, %", "95 % interval"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for row in report["rows"]:
        low, high = (100 * (bound - 1) for bound in row["ratio_ci95"])
        table.add_row(
            str(row["at_once"]),
            row["arm"],
            f"{row['items_per_second']:.1f}",
            f"{row['cpu_ms_per_item']:.1f}",
            f"{100 * (row['ratio'] - 1):+.1f}",
            f"{low:+.1f} to {high:+.1f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
