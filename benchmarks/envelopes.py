"""How exactly trimming finds where a recording sounds: against sounds whose times are known.

Twenty synthetic classes, five draws of each, placed at a known time in 5 s of silence or of white
noise so many dB under the sound's loudest 50 ms. Compared are the first onset and the last offset
of what was found with the true ones; positive errors are late. A class that pauses for longer than
0.25 s (hammering, frogs, footsteps) is rightly found in several bursts.

    python benchmarks/envelopes.py
    python benchmarks/envelopes.py --json benchmarks/results/envelopes.json
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tempo_attn.files.atomic import replacing
from tempo_tasks.sources.recorded.envelope import FRAME, Form, Trim, levels, sounding
from tempo_tasks.sources.synth.scene import seeded
from tempo_tasks.sources.synth.sounds import LABELS, RATE, synthesise

DRAWS, SECONDS = 5, 5.0
NOISE = (None, 50.0, 40.0, 30.0, 20.0)  # dB under the loudest 50 ms of the sound


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = {
        "what": "error of trimming, in ms: found minus true; positive is late",
        "sounds": {"classes": len(LABELS), "draws": DRAWS, "seconds": SECONDS, "rate": RATE},
        "trim": Trim().as_json(),
        "rows": [_row(noise) for noise in NOISE],
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


def _row(noise):
    forms = dict.fromkeys((form.value for form in Form), 0)
    onsets, offsets = [], []
    for label in LABELS:
        for draw in range(DRAWS):
            wave, true = _recording(label, draw, noise)
            form, spans = sounding(levels(wave, RATE), Trim())
            forms[form.value] += 1
            if form in (Form.ONE, Form.SEVERAL):
                onsets.append(1e3 * (spans[0][0] * FRAME - true[0]))
                offsets.append(1e3 * (spans[-1][1] * FRAME - true[1]))
    return {
        "noise_db": None if noise is None else -noise,
        "found": forms,
        "onset_ms": _spread(onsets),
        "offset_ms": _spread(offsets),
    }


def _recording(label, draw, noise):
    rng = seeded(f"envelopes/{label}/{draw}")
    size = round(rng.uniform(0.6, 3.0) * RATE)
    start = int(rng.randint(round(0.3 * RATE), round(SECONDS * RATE) - size - round(0.3 * RATE)))
    wave = np.zeros(round(SECONDS * RATE))
    if noise is not None:
        wave += 10 ** (-noise / 20) * rng.standard_normal(len(wave))
    # Its loudest 50 ms have an RMS of 1.
    wave[start : start + size] += synthesise(label, size, rng)
    return (0.1 * wave).astype(np.float32), (start / RATE, (start + size) / RATE)


def _spread(errors):
    size = np.abs(errors)
    return {
        "n": len(errors),
        "median": round(float(np.median(errors)), 1),
        "median_size": round(float(np.median(size)), 1),
        "size_95": round(float(np.percentile(size, 95)), 1),
        "largest": round(float(size.max()), 1),
    }


def _print(report):
    table = Table(title="Error of trimming, ms", width=100)
    columns = ("noise, dB", "one / several / throughout / unclear")
    columns += ("onset: median size", "95 %", "largest")
    columns += ("offset: median size", "95 %", "largest")
    for column in columns:
        table.add_column(column, justify="right")
    for row in report["rows"]:
        cells = [row[edge][key] for edge in ("onset_ms", "offset_ms") for key in _SHOWN]
        table.add_row(
            "silence" if row["noise_db"] is None else f"{row['noise_db']:g}",
            " / ".join(str(count) for count in row["found"].values()),
            *map(str, cells),
        )
    Console(width=100).print(table)


_SHOWN = ("median_size", "size_95", "largest")

if __name__ == "__main__":
    main()
