"""What the start-up module costs at each interpreter start.

Three bare virtual environments differ in nothing but the start-up files: without them, with them,
and with them but switched off. Interpreters are started in turn, in shuffled order, so that a busy
machine disturbs all three alike; what counts is the CPU time (user and system) of the child.

    python benchmarks/autoload.py
    python benchmarks/autoload.py --json > benchmarks/results/autoload.json
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ("_tempo_lalm_autoload.py", "tempo_lalm.pth", "tempo_lalm.start")
# Nearly every program imports something from the standard library, so that Python lists the folders
# that the start-up module's import had listed already: not all of its cost is added.
IMPORTS = "import json"


def main() -> None:
    """Measures, and prints a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300, help="starts of each kind (300)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pythons = {name: _environment(Path(folder) / name, name != "without") for name in ARMS}
        results = {
            "start": _compare(pythons, "pass", options.rounds),
            "start_and_import_json": _compare(pythons, IMPORTS, options.rounds),
        }
    report = {
        "what": "CPU time of an interpreter start, milliseconds",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "rounds": options.rounds,
        "results": results,
    }
    print(json.dumps(report, indent=2) if options.json else _table(report))


ARMS = {"without": {}, "with": {}, "switched_off": {"TEMPO_NO_AUTOLOAD": "1"}}


def _environment(folder: Path, files: bool) -> str:
    """Makes a bare virtual environment, with our start-up files or without; returns its python."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    if files:
        for name in FILES:
            shutil.copy(ROOT / name, site)
        # As pip does after an installation.
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(site)], check=True)
    return str(folder / "bin" / "python")


def _compare(pythons: dict[str, str], code: str, rounds: int) -> dict[str, object]:
    """Times the three arms in turn; differences are taken within a round."""
    order = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in ARMS}
    for i in range(rounds + 5):
        for name in order.sample(sorted(ARMS), len(ARMS)):
            seconds = _cpu_seconds([pythons[name], "-c", code], ARMS[name])
            if i >= 5:  # the first rounds fill the file cache
                times[name].append(1000 * seconds)
    extra = {
        name: _spread([a - b for a, b in zip(times[name], times["without"], strict=True)])
        for name in ("with", "switched_off")
    }
    return {"cpu_ms": {name: _spread(t) for name, t in times.items()}, "added_ms": extra}


def _cpu_seconds(command: list[str], env: dict[str, str]) -> float:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "TEMPO_"))}
    pid = os.posix_spawn(command[0], command, {**keep, **env})
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command} failed with status {status}")
    return usage.ru_utime + usage.ru_stime


def _spread(values: list[float]) -> dict[str, float]:
    """Median, quartiles, and a 95 % bootstrap interval of the median."""
    order = random.Random(0)
    medians = sorted(statistics.median(order.choices(values, k=len(values))) for _ in range(1000))
    low, median, high = statistics.quantiles(values, n=4)
    spread = {
        "median": median,
        "q1": low,
        "q3": high,
        "median_ci95_low": medians[25],
        "median_ci95_high": medians[974],
    }
    return {name: round(value, 3) for name, value in spread.items()}


def _table(report: dict[str, object]) -> str:
    lines = [f"{report['what']}; Python {report['python']}, {report['rounds']} rounds"]
    results = report["results"]
    assert isinstance(results, dict)
    for name, result in results.items():
        lines.append(f"{name}:")
        for arm, spread in result["cpu_ms"].items():
            lines.append(f"  {arm:13} {spread['median']:7.3f}  ({spread['q1']}, {spread['q3']})")
        for arm, spread in result["added_ms"].items():
            interval = f"{spread['median_ci95_low']} to {spread['median_ci95_high']}"
            lines.append(f"  {arm} adds {spread['median']:.3f} (95 %: {interval})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
