"""What the instruments of the laboratory cost: each verb on 400 items of the embedded model.

Each command runs in a process of its own, as a user would run it, twice: the first time on a
quarter of the items, so that what grows with items is told from what does not. CPU time has
imports, model and rendering of scenes that are not cached yet (they are, from the second run on);
peak memory is that of the process. With `--repeat` the first run is made again into another
folder, and every file in the two folders must have the same bytes.

    python benchmarks/instruments.py
    python benchmarks/instruments.py --repeat --json benchmarks/results/instruments.json
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
from about_this_run import command, machine
from rich.console import Console
from rich.table import Table

from tempo_attn.files.atomic import replacing

TASK = "tempo_synth_eo_aqa"
GOAL = {"items": 400, "wall_s": 240.0}
VERBS = {
    "heads": ["heads", "--tasks", TASK, "--rows", "last,option"],
    "try-heads": ["try-heads", "--from", "{heads}", "--rows", "option", "--edit", "knockout"],
    "listen": ["listen", "--tasks", TASK],
    "timeline": ["timeline", "--tasks", TASK],
    "steer": ["steer", "--tasks", TASK, "--from", "{half}"],
}
"""The arguments of each command; a name in braces is the run folder of that command."""
HALF = ["timeline", "--tasks", TASK, "--probes", "ridge", "--baselines", "none"]
"""What `steer` starts from, in `{half}`: of half of the items, as it runs on the others alone."""


def main():
    """Measures, and prints a table; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=GOAL["items"])
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=list(VERBS))
    parser.add_argument("--repeat", action="store_true", help="compare the files of two runs")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    options = parser.parse_args()
    if "try-heads" in options.verbs and "heads" not in options.verbs:
        parser.error("try-heads needs the run of heads: name it in --verbs too")
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(Path(folder), options)
    report = {
        "what": f"the laboratory's instruments on {TASK}, embedded model, a process each",
        "command": command("instruments.py", sys.argv[1:]),
        "machine": machine(),
        "threads": 2,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "goal": GOAL,
        "goal_met": options.items >= GOAL["items"]
        and all(row["wall_s"] < GOAL["wall_s"] for row in rows),
        "rows": rows,
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


def _rows(folder, options):
    rows = []
    for items in (max(options.items // 4, 20), options.items):
        for verb in options.verbs:
            row = {"verb": verb, "items": items}
            if verb == "steer":
                _run("half", items // 2, folder / str(items), HALF)
                row["items_left"] = items - items // 2
            row |= _run(verb, items, folder / str(items), VERBS[verb])
            if options.repeat and items == options.items:
                again = folder / "again"
                for other in (
                    *options.verbs,
                    "half",
                ):  # commands that start from another's run find it there
                    if other != verb and not (again / other).exists():
                        again.mkdir(exist_ok=True)
                        (again / other).symlink_to(folder / str(items) / other)
                (again / verb).unlink(missing_ok=True)
                _run(verb, items, again, VERBS[verb])
                row["same_bytes"] = _bytes(again / verb) == _bytes(folder / str(items) / verb)
            rows.append(row)
    return rows


def _run(verb, items, folder, words):
    """Run one command, and say what it used."""
    folder.mkdir(exist_ok=True)
    paths = {name: folder / name for name in (*VERBS, "half")}
    words = [word.format_map(paths) for word in words]
    if "--tasks" in words:  # others run on the items of the folder that they start from
        words += ["--limit", str(items)]
    words += ["--out", str(folder / verb)]
    begun, load = time.perf_counter(), os.getloadavg()[0]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tempo_tasks", *words],
            env={**os.environ, "OMP_NUM_THREADS": "2"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        if status:
            log.seek(0)
            sys.exit(f"tempo {' '.join(words)}\n{log.read().decode()}")
    # Bytes on macOS, KiB elsewhere.
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / unit),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "out_mib": round(sum(f.stat().st_size for f in _files(folder / verb)) / 2**20, 1),
    }


def _files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _bytes(folder):
    """Return the checksum of every file by its name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _files(folder)
    }


def _print(report):
    table = Table(title=report["machine"], width=100)
    for column in ("verb", "items", "wall, s", "CPU, s", "peak, MiB", "out, MiB", "same bytes"):
        table.add_column(column, justify="left" if column == "verb" else "right")
    for row in report["rows"]:
        table.add_row(
            row["verb"],
            str(row["items"]),
            f"{row['wall_s']:.1f}",
            f"{row['cpu_s']:.1f}",
            str(row["peak_mib"]),
            str(row["out_mib"]),
            {True: "yes", False: "no", None: ""}[row.get("same_bytes")],
        )
    console = Console(width=100)
    console.print(table)
    goal = report["goal"]
    met = "met" if report["goal_met"] else "missed"
    console.print(f"Goal: {goal['items']} items under {goal['wall_s']:g} s for each verb: {met}")


if __name__ == "__main__":
    main()
