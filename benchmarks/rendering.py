"""What it costs to render a benchmark from recordings: audio in, folder out.

The bank has the shape of ESC-50: 2,000 recordings of 5 s at 44.1 kHz (synthesised, 20 labels), all
of which are heard and checked first. The rendering runs in a process of its own, with one worker
for each core asked for; peak memory is that of this process and of its workers together, each
worker counted with the peak of the largest.

    python benchmarks/rendering.py
    python benchmarks/rendering.py --json benchmarks/results/rendering.json
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from about_this_run import command, machine
from rich.console import Console
from rich.table import Table

from tempo_attn.files.atomic import replacing

RECORDINGS, SECONDS, RATE = 2_000, 5.0, 44_100
GOAL = {"clips": 2_000, "seconds": 30.0, "wall_s": 240.0, "peak_mib": 1000.0, "workers": 2}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, nargs="+", default=(200, GOAL["clips"]))
    parser.add_argument("--recordings", type=int, default=RECORDINGS)
    parser.add_argument("--workers", type=int, default=GOAL["workers"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("BANK", "OUT", "CLIPS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        bank, out, clips = options.one
        print(json.dumps(_one(Path(bank), Path(out), int(clips), options.workers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank"
        _write_bank(bank, options.recordings)
        rows = [_child(bank, Path(folder) / "out", n, options.workers) for n in options.clips]
    last = rows[-1]
    report = {
        "what": "tempo data render --set quartets --seconds 30: recordings in, folder out",
        "command": command("rendering.py", sys.argv[1:]),
        "machine": machine(),
        "python": platform.python_version(),
        "load": "average number of running processes in the minute before and after each run: "
        "above the number of cores, wall time counts the waiting too",
        "clock": "wall and CPU time of process and workers, imports included",
        "bank": {"recordings": options.recordings, "seconds": SECONDS, "rate": RATE},
        "goal": GOAL,
        "goal_met": last["clips"] >= GOAL["clips"]
        and last["workers"] <= GOAL["workers"]
        and last["wall_s"] < GOAL["wall_s"]
        and last["peak_mib"] < GOAL["peak_mib"],
        "rows": rows,
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


def _child(bank, out, clips, workers):
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    words = [sys.executable, __file__, "--workers", str(workers)]
    words += ["--one", str(bank), str(out), str(clips)]
    done = subprocess.run(words, env={**os.environ, **threads}, capture_output=True, text=True)
    shutil.rmtree(out, ignore_errors=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def _one(bank, out, clips, workers):
    from tempo_tasks.data.render.request import RenderRequest
    from tempo_tasks.data.render.run import render

    begun, before = time.perf_counter(), os.getloadavg()[0]
    request = RenderRequest(
        sounds=bank, kind="quartets", clips=clips, seconds=GOAL["seconds"], workers=workers
    )
    manifest, _ = render(request, out)
    wall = time.perf_counter() - begun
    mine, theirs = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    # Bytes on macOS, KiB elsewhere.
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return {
        "clips": manifest["clips"],
        "workers": workers,
        "wall_s": round(wall, 1),
        "cpu_s": round(sum(use.ru_utime + use.ru_stime for use in (mine, theirs)), 1),
        "cpu_s_a_worker": round(
            sum(use.ru_utime + use.ru_stime for use in (mine, theirs)) / workers, 1
        ),
        "load": [round(before, 1), round(os.getloadavg()[0], 1)],
        "cpu_ms_a_clip": round(
            1e3 * sum(u.ru_utime + u.ru_stime for u in (mine, theirs)) / manifest["clips"]
        ),
        "process_mib": round(mine.ru_maxrss / unit),
        "worker_mib": round(theirs.ru_maxrss / unit),
        "peak_mib": round((mine.ru_maxrss + workers * theirs.ru_maxrss) / unit),
        "out_mib": round(sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) / 2**20),
    }


def _write_bank(folder, count):
    """Write recordings in one folder a label."""
    import numpy as np
    import soundfile
    import soxr

    from tempo_tasks.sources.synth import sounds
    from tempo_tasks.sources.synth.scene import seeded

    for number in range(count):
        label = sounds.LABELS[number % len(sounds.LABELS)]
        rng = seeded(f"benchmark/{number}")
        wave = 1e-3 * rng.standard_normal(round(SECONDS * sounds.RATE))
        size = round(rng.uniform(0.5, 4.0) * sounds.RATE)
        start = rng.randint(len(wave) - size)
        sound = sounds.synthesise(label, size, rng)
        wave[start : start + size] += 0.5 * sound / np.abs(sound).max()
        path = folder / label / f"{number:05d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, soxr.resample(wave, sounds.RATE, RATE), RATE, subtype="PCM_16")


def _print(report):
    table = Table(title=f"{report['clock']}; {report['machine']}", width=100)
    columns = (
        "clips",
        "workers",
        "wall, s",
        "load",
        "CPU, s",
        "CPU, ms a clip",
        "peak, MiB",
        "out, MiB",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for row in report["rows"]:
        table.add_row(
            f"{row['clips']:,}",
            str(row["workers"]),
            f"{row['wall_s']:.1f}",
            "{:.1f} to {:.1f}".format(*row["load"]),
            f"{row['cpu_s']:.1f}",
            str(row["cpu_ms_a_clip"]),
            str(row["peak_mib"]),
            str(row["out_mib"]),
        )
    console = Console(width=100)
    console.print(table)
    goal = report["goal"]
    console.print(
        f"Goal: {goal['clips']:,} clips of {goal['seconds']:g} s under {goal['wall_s']:g} s and "
        f"{goal['peak_mib']:g} MiB on {goal['workers']} cores: "
        f"{'met' if report['goal_met'] else 'not met, or not run'}"
    )


if __name__ == "__main__":
    main()
