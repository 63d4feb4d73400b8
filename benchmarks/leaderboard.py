"""What a leaderboard costs: bundles in, site out; new bundles, and the same ones again.

Made-up entries of 1,200 answers each (three kinds under AQA, 400 rendered scenes), all accepted.
`new` validates all of them, `again` finds them remembered. Each run is `tempo leaderboard` in a
process of its own: CPU time of all its processes, wall time, peak memory of the largest one.

    python benchmarks/leaderboard.py
    python benchmarks/leaderboard.py --json benchmarks/results/leaderboard.json
"""

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tempo_attn.files.atomic import replacing

SIZES = (10, 100, 1000)
SCENES = 400
GOAL = {"bundles": 1000, "wall_s": 120.0}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--site", nargs=3, metavar=("BUNDLES", "OUT", "WORKERS"))
    options = parser.parse_args()
    if options.site:
        print(json.dumps(_site(*options.site)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(Path(folder), sorted(options.sizes), options.workers)
    last = rows[-1]
    report = {
        "what": "tempo leaderboard: bundles of 1,200 answers in, site out",
        "command": "python benchmarks/leaderboard.py",
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "python": platform.python_version(),
        "clock": "CPU time of all processes, one thread each; wall time; one run each",
        "workers": options.workers,
        "goal": GOAL,
        "goal_met": {
            run: last["bundles"] >= GOAL["bundles"] and last[run]["wall_s"] < GOAL["wall_s"]
            for run in ("new", "again")
        },
        "rows": rows,
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


def _rows(folder, sizes, workers):
    rows = []
    made = 0
    with ProcessPoolExecutor(workers) as pool:
        for size in sizes:
            list(pool.map(_bundle, [folder / "bundles" / f"{n:04}" for n in range(made, size)]))
            made = size
            os.environ["TEMPO_CACHE"] = str(folder / f"cache-{size}")
            runs = {name: _child(folder, size, workers) for name in ("new", "again")}
            rows.append({"bundles": size, **runs})
    return rows


def _bundle(path):
    """Write a bundle with answers of some skill."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support.bundles import write_synth_bundle, write_synth_run

    number = int(path.name)
    skill = random.Random(number).uniform(0.25, 0.9)
    with tempfile.TemporaryDirectory() as run:
        name = f"someone/model-{number}"
        write_synth_run(run, skill=skill, seed=number, scenes=SCENES, model=name)
        write_synth_bundle(path, run)


def _child(folder, size, workers):
    words = [sys.executable, __file__, "--site", str(folder / "bundles"), str(folder / "site")]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads}
    done = subprocess.run([*words, str(workers)], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("entries") == size
    return found


def _site(bundles, out, workers):
    """Make a site, in this process."""
    from tempo_tasks.cli import app

    begun = time.perf_counter()
    words = ["leaderboard", bundles, "-o", out, "--workers", workers]
    app(words, standalone_mode=False)
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # Bytes on macOS, KiB elsewhere.
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    site = Path(out)
    return {
        "wall_s": round(time.perf_counter() - begun, 1),
        "cpu_s": round(sum(use.ru_utime + use.ru_stime for use in uses), 1),
        "peak_mib": round(max(use.ru_maxrss for use in uses) / unit),
        "site_mib": round(sum(f.stat().st_size for f in site.rglob("*.*")) / 2**20, 1),
        "entries": len(json.loads((site / "leaderboard.json").read_text())["entries"]),
    }


def _print(report):
    table = Table("bundles", "run", "wall s", "CPU s", "peak MiB", "site MiB")
    for row in report["rows"]:
        for run in ("new", "again"):
            told = row[run]
            cells = (told["wall_s"], told["cpu_s"], told["peak_mib"], told["site_mib"])
            table.add_row(str(row["bundles"]), run, *map(str, cells))
    Console().print(table)


if __name__ == "__main__":
    main()
