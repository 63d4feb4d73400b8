"""Sweep attention scaling over layers from Python: effects with intervals, nulls and a picture.

Cells (`# %%`) open as a notebook in most editors. The embedded model: nothing is downloaded. The
same at the command line: tempo sweep --tasks tempo_synth_eo_aqa --limit 40 ...

    python examples/sweep_layers.py
"""

# %% A model and items, as the harness has them
import tempfile
from pathlib import Path

import torch

from tempo_attn.lab.sweep.effects import effects
from tempo_attn.lab.sweep.figures import heat_map
from tempo_attn.lab.sweep.grid import Grid
from tempo_attn.lab.sweep.records import SweepResults
from tempo_attn.lab.sweep.run import Sweeper
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.study import Study

torch.set_num_threads(1)
study = Study(Settings(tasks=["tempo_synth_eo_aqa"], limit=40))

# %% Every layer, three strengths, the last row and the options' rows; random signs as the null
grid = Grid(strengths={"scale": (0.2, 0.5, 2.0)}, rows=[("last",), ("option",)], nulls=["sign"])
variants = grid.variants(study.n_layers, study.n_heads)
sweeper = Sweeper(study.subject, variants, plan=study.plan)
records = [record for batch in sweeper.run(study.items) for record in batch]
choice = sweeper.choice
print(f"{len(variants)} variants on {len(records)} items, each from one prefill ({choice.engine});")
print(f"largest difference from full forwards: {choice.checked:.0e}")

# %% What each edit does, against the same rows recomputed unchanged
results = SweepResults(variants, records)
print(f"without an edit: {results.plain_right.sum()} of {len(records)} right")
for effect in sorted(effects(results), key=lambda effect: effect.change)[:4]:
    low, high = (100 * end for end in effect.interval)
    print(
        f"{effect.variant.name:28} {100 * effect.change:+6.1f} points ({low:+.1f} to {high:+.1f}), "
        f"fixed {effect.fixed}, broken {effect.broken}, "
        f"random {100 * effect.nulls['sign'].change:+.1f}, "
        f"audio mass {100 * effect.mass_before:.0f} > {100 * effect.mass_after:.0f} %"
    )

# %% A picture
with tempfile.TemporaryDirectory() as folder:
    print([path.name for path in heat_map(effects(results), Path(folder) / "heatmap")])
