"""What it costs to build a benchmark: interval CSV in, folder out, without audio.

Synthetic clips in the shape of TACOS (events a clip and 112 labels as measured on its 12,358
annotated clips). Each size runs in a process of its own: CPU time on one thread and peak memory,
imports included. `questions` are all three kinds with the released margins.

    python benchmarks/build.py
    python benchmarks/build.py --json benchmarks/results/build.json
"""

import argparse
import csv
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from about_this_run import command, machine
from rich.console import Console
from rich.table import Table

from tempo_attn.files.atomic import replacing

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
# Clips by their number of events, measured; the last stands for eight and more.
EVENTS = {1: 6630, 2: 3143, 3: 1460, 4: 603, 5: 295, 6: 119, 7: 62, 8: 46}
LABELS = 112
SECONDS = 30.0
GOAL = {"clips": 100_000, "cpu_s": 60.0, "peak_mib": 2000.0}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("CSV", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_one(*map(Path, options.one))))
        return
    rows = [_measure(size, options.rounds) for size in options.sizes]
    last = rows[-1]
    report = {
        "what": "tempo data build: interval CSV in, folder out, three kinds, no audio",
        "command": command("build.py", sys.argv[1:]),
        "machine": machine(),
        "python": platform.python_version(),
        "clock": "CPU time, one thread, imports included; peak resident memory of the process",
        "rounds": options.rounds,
        "shape": {"events_a_clip": EVENTS, "labels": LABELS, "seconds": SECONDS},
        "goal": GOAL,
        "goal_met": last["clips"] >= GOAL["clips"]
        and last["cpu_s"] < GOAL["cpu_s"]
        and last["peak_mib"] < GOAL["peak_mib"],
        "rows": rows,
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


def _measure(size, rounds):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "intervals.csv"
        lines = _write_intervals(source, size)
        found = [_child(source, Path(folder) / f"out-{number}") for number in range(rounds)]
        megabytes = source.stat().st_size / 2**20
    found.sort(key=lambda run: run["cpu_s"])
    middle = found[len(found) // 2]
    return {
        "clips": size,
        "rows": lines,
        "csv_mib": round(megabytes, 1),
        **middle,
        "cpu_s_range": [found[0]["cpu_s"], found[-1]["cpu_s"]],
        "us_a_clip": round(1e6 * middle["cpu_s"] / size),
    }


def _child(source, out):
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    words = [sys.executable, __file__, "--one", str(source), str(out)]
    done = subprocess.run(words, env={**os.environ, **threads}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def _one(source, out):
    from tempo_tasks.data.build.request import Request
    from tempo_tasks.data.build.run import build

    begun = time.perf_counter()
    manifest, _ = build(Request(intervals=(source,)), out)
    wall = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, KiB elsewhere.
    peak_mib = peak / 2**20 if platform.system() == "Darwin" else peak / 2**10
    return {
        "questions": manifest["questions"],
        "cpu_s": round(time.process_time(), 2),
        "wall_s": round(wall, 2),
        "peak_mib": round(peak_mib),
        "out_mib": round(sum(path.stat().st_size for path in out.iterdir()) / 2**20, 1),
    }


def _write_intervals(path, clips):
    """Write clips in the authors' layout; return the number of rows."""
    draw = random.Random(0)
    labels = [f"Sound class {number}" for number in range(LABELS)]
    counts = draw.choices(list(EVENTS), list(EVENTS.values()), k=clips)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["idx", "filename", "subclass", "intervals", "question"])
        number = 0
        for clip, count in enumerate(counts):
            for label in draw.sample(labels, count):
                number += 1
                writer.writerow([number, f"{clip}.mp3", label, _intervals(draw), "When is it?"])
    return number


def _intervals(draw):
    """One to four intervals, two decimals, in a clip of 30 s."""
    count = draw.choices((1, 2, 3, 4), (65, 18, 10, 7))[0]
    times = sorted(draw.sample(range(int(SECONDS * 100) + 1), 2 * count))
    spans = zip(times[::2], times[1::2], strict=True)
    return "[" + ", ".join(f"{a / 100:.2f}-{b / 100:.2f}" for a, b in spans) + "]"


def _print(report):
    table = Table(title=f"{report['clock']}; {report['machine']}", width=100)
    columns = ("clips", "questions", "CPU, s", "range", "µs a clip", "peak, MiB", "CSV, MiB")
    for column in columns:
        table.add_column(column, justify="right")
    for row in report["rows"]:
        table.add_row(
            f"{row['clips']:,}",
            f"{row['questions']:,}",
            f"{row['cpu_s']:.1f}",
            "{:.1f} to {:.1f}".format(*row["cpu_s_range"]),
            str(row["us_a_clip"]),
            str(row["peak_mib"]),
            str(row["csv_mib"]),
        )
    console = Console(width=100)
    console.print(table)
    goal = report["goal"]
    console.print(
        f"Goal: {goal['clips']:,} clips under {goal['cpu_s']:g} s and {goal['peak_mib']:g} MiB: "
        f"{'met' if report['goal_met'] else 'not met, or not run'}"
    )


if __name__ == "__main__":
    main()
