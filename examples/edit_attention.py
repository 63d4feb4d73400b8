"""Edit attention on audio, save the edit, load it in a new process: identical logits.

Cells (`# %%`) open as a notebook in most editors. The embedded model: nothing is downloaded.

    python examples/edit_attention.py
"""

# %% A model, and prompts with audio
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForMultimodalLM, AutoProcessor

from tempo_attn import AttnScaleConfig, AttnScaleModel, apply_attn_scale
from tempo_attn.families import get_family
from tempo_tasks.audio import read_audio
from tempo_tasks.prompts import make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import LETTERS, Kind
from tempo_tasks.sources.synth.testset import load_synth
from tempo_tasks.tiny import WEIGHTS_DIR

torch.set_num_threads(1)  # the same sums in every process
torch.set_grad_enabled(False)
processor = AutoProcessor.from_pretrained(WEIGHTS_DIR)
model = AutoModelForMultimodalLM.from_pretrained(WEIGHTS_DIR)
family = get_family(model.config)
questions = load_synth(Kind.EO, scenes=24)
texts, waves = [], []
for question in questions.questions:
    prompt = make_prompt(question, Condition.AQA, audio=questions.audio[question.clip_id])
    texts.append(family.chat(processor, [{"role": "user", "content": prompt.text}]))
    waves += [read_audio(handle, family.sampling_rate(processor)) for handle in prompt.audio]
inputs = family.process(processor, texts, waves)
letters = [processor.tokenizer.convert_tokens_to_ids(letter) for letter in LETTERS]


def report(name, logits):
    chosen = logits[:, -1, letters].argmax(-1)
    right = sum(LETTERS[c] == q.answer for c, q in zip(chosen, questions.questions, strict=True))
    print(f"{name:46} {right:2} of {len(chosen)} right")


# %% The second half runs in a new process, with the folder that the first one wrote
if len(sys.argv) == 2:
    folder = Path(sys.argv[1])
    model = AttnScaleModel.from_pretrained(model, folder)
    logits = model(**inputs).logits
    report("the same edit, in a new process", logits)
    before = torch.load(folder / "logits.pt", weights_only=True)
    print(f"identical logits: {torch.equal(logits, before)}")
    sys.exit(0 if torch.equal(logits, before) else 1)

# %% Edit: the option names and the keyword attend to audio with halved logits, in layers 0 and 1
plain = model(**inputs).logits
report("plain", plain)
config = AttnScaleConfig(
    mode="scale",
    strength=0.5,
    layers=[0, 1],
    queries=["keyword", "option"],
    provenance={"chosen": "by hand, as an example; not fitted to anything"},
)
model = apply_attn_scale(model, config)
edited = model(**inputs).logits
report("keyword and option rows x 0.5, layers 0 and 1", edited)
status = model.status()
print(f"edited rows a prompt: {status.rows}; audio tokens: {set(status.audio_tokens)}")

# %% Adapters, as in PEFT
model.add_adapter("last", AttnScaleConfig(mode="scale", strength=0.5, layers=[0, 1]))
model.set_adapter("last")
report("last row x 0.5, layers 0 and 1", model(**inputs).logits)
model.set_adapter("default")
with model.disable_adapter():
    assert torch.equal(model(**inputs).logits, plain)

# %% Save (JSON and a model card), and load in a new process
with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder, selected_adapters=["default"])
    torch.save(edited, Path(folder) / "logits.pt")
    print(f"saved: {sorted(path.name for path in Path(folder).iterdir())}")
    again = subprocess.run([sys.executable, __file__, folder], check=False)
assert torch.equal(model.unload()(**inputs).logits, plain)
sys.exit(again.returncode)
