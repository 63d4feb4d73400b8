"""Score an audio language model on temporal questions, from Python.

Without arguments: the embedded model. Otherwise a Hub id or a folder of a Qwen2-Audio checkpoint,
for example `python examples/score_in_python.py Qwen/Qwen2-Audio-7B-Instruct`.
"""

import sys

import lm_eval

model_args = {"pretrained": sys.argv[1]} if len(sys.argv) > 1 else {}
results = lm_eval.simple_evaluate(
    model="lalm",
    model_args=model_args,
    tasks=["tempo_synth_aqa", "tempo_synth_silence"],
    batch_size=16,
    limit=100,
)
for name, score in results["results"].items():
    accuracy, error = 100 * score["acc,none"], 100 * score["acc_stderr,none"]
    print(f"{name:24} {accuracy:5.1f} % +- {error:.1f}")
