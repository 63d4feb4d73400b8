"""lmms-eval's Qwen2-Audio model on given questions; run by `harness.py` in lmms-eval's environment.

It is mended for what makes it crash only: it asks for CUDA, and hands the processor an empty list
where a batch has no audio. Clips are decoded before the clock runs, as for lm_eval's class.

    python benchmarks/lmms_arm.py questions.json clips.npz answers.json
"""

import json
import sys
import time

import numpy as np
import torch
from lmms_eval.api.instance import Instance
from lmms_eval.models.simple.qwen2_audio import Qwen2_Audio


class _Processor:
    """The model's processor, with no audio where there is none."""

    def __init__(self, processor):
        self._processor = processor

    def __getattr__(self, name):
        return getattr(self._processor, name)

    def __call__(self, *, audio, **arguments):
        return self._processor(audio=audio or None, **arguments)


def main(questions_path, clips_path, answers_path):
    """Answer, and write the answers and what they took."""
    torch.set_num_threads(1)
    with open(questions_path) as file:
        given = json.load(file)
    clips = np.load(clips_path)
    lm = Qwen2_Audio(
        given["pretrained"], device="cpu", device_map="auto", batch_size=given["batch"]
    )
    lm.device_map = "cpu"
    lm._model = lm.model.to("cpu").float()
    lm.processor = _Processor(lm.processor)
    docs = [
        [{"array": clips[name], "sampling_rate": given["rate"]} for name in row["clips"]]
        for row in given["rows"]
    ]
    lm.task_dict = {"questions": {"test": docs}}
    for row in given["rows"]:  # the very prompt of the other arms
        content = [{"type": "audio", "audio_url": "placeholder.wav"} for _ in row["clips"]]
        content.append({"type": "text", "text": row["context"]})
        rendered = lm.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        if rendered != row["prompt"]:
            raise SystemExit(f"another prompt: {rendered!r} for {row['prompt']!r}")
    requests = [
        Instance(
            request_type="generate_until",
            arguments=(
                row["context"],
                {"max_new_tokens": given["n_new"], "until": ["\n"]},
                lambda doc: doc,
                number,
                "questions",
                "test",
            ),
            idx=0,
            metadata={"task": "questions", "doc_id": number, "repeats": 1},
        )
        for number, row in enumerate(given["rows"])
    ]
    cpu, wall = time.process_time(), time.perf_counter()
    answers = lm.generate_until(requests)
    took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    with open(answers_path, "w") as file:
        json.dump({"answers": answers, **took}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
