"""The embedded audio language model: a real Qwen2-Audio checkpoint of 1.9 M parameters.

`tokenizer_and_model` makes the processor and the untrained model, `data` the training scenes,
`packing` the batches, `train` the recipe (`python -m tempo_tasks.tiny.train`). The weights in
`embedded/` load with AutoProcessor and AutoModelForMultimodalLM like any other checkpoint.
"""

from pathlib import Path

WEIGHTS_DIR = Path(__file__).resolve().parent / "embedded"
"""Folder of the embedded checkpoint."""
EMBEDDED = "embedded"
"""Its name in results, and as `pretrained` where no folder of that name lies here."""


def is_embedded(pretrained: object) -> bool:
    """Return whether a model argument `pretrained` means the embedded model: None or its name."""
    return pretrained is None or (pretrained == EMBEDDED and not Path(EMBEDDED).is_dir())
