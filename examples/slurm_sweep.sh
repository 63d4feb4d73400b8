#!/usr/bin/env bash
# One sweep in parts, one GPU each, on any number of machines that share a disk:
#   sbatch --array=0-7 examples/slurm_sweep.sh my-sweep --tasks tempo_eo_aqa \
#       --model Qwen/Qwen2-Audio-7B-Instruct --model-args dtype=bfloat16
# then, when all parts are finished:
#   tempo merge my-sweep/part-* --out my-sweep/whole
# Trace, mass, lens, presets and compare: TEMPO_COMMAND=trace. A part that was killed goes on when it is
# submitted again; parts are dealt whole batches, so the merged run is that of one process.
#SBATCH --job-name=tempo-sweep
#SBATCH --gpus=1
#SBATCH --time=04:00:00
set -euo pipefail

out=${1:?a folder for the parts}
shift

mkdir -p "$out"
tempo "${TEMPO_COMMAND:-sweep}" "$@" \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    --out "$out/part-$SLURM_ARRAY_TASK_ID"
