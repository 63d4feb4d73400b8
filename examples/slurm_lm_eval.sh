#!/usr/bin/env bash
# Scores of several models, one array task a model, one node each:
#   sbatch --array=0-$(($(wc -l < models.txt) - 1)) examples/slurm_lm_eval.sh models.txt results
# models.txt has the model arguments of one model a line, such as
#   pretrained=Qwen/Qwen2-Audio-7B-Instruct,dtype=bfloat16
# A task that was killed goes on when it is submitted again: every process keeps its answers in a
# cache of its own, so submit with as many GPUs as before.
#SBATCH --job-name=tempo-scores
#SBATCH --nodes=1
#SBATCH --gpus-per-node=8
#SBATCH --time=04:00:00
set -euo pipefail

models=${1:?a file with the model arguments of one model a line}
out=${2:?a folder for the results}
tasks=${TEMPO_TASKS:-tempo}

arguments=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$models")
[ -n "$arguments" ] || { echo "$models has no line $((SLURM_ARRAY_TASK_ID + 1))" >&2; exit 2; }

mkdir -p "$out/cache"
accelerate launch --multi_gpu --num_machines 1 --num_processes "${SLURM_GPUS_ON_NODE:-1}" \
    -m lm_eval --model lalm --model_args "$arguments" --tasks "$tasks" --batch_size 16 \
    --log_samples --output_path "$out" --use_cache "$out/cache/$SLURM_ARRAY_TASK_ID"
