"""The edits that are served in tests, and the same model in process."""

from contextlib import contextmanager

import torch
from transformers import AutoModelForMultimodalLM, AutoProcessor

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.families import get_family
from tempo_tasks.audio import read_audio
from tempo_tasks.prompts import make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import LETTERS, Kind
from tempo_tasks.sources.synth.testset import load_synth
from tempo_tasks.tiny import WEIGHTS_DIR

MODES = {
    "scale": 0.5,
    "scale_preserving": 2.0,
    "upweight": -1.5,
    "upweight_matched": 0.5,
    "upweight_relative": -0.4,
    "knockout": None,
}
ROWS = ("last", "keyword", "option", "all_text")
CONFIGS = {
    f"{mode}-{rows}": AttnScaleConfig(mode=mode, strength=strength, queries=rows)
    for mode, strength in MODES.items()
    for rows in ROWS
} | {
    "heads": AttnScaleConfig(
        strength=0.2, layers=[0, 2], heads={0: [1, 3], 2: [0]}, queries="option+keyword"
    ),
    "upper-heads": AttnScaleConfig(strength=0.2, layers=[0, 1], heads=[3], queries="option"),
    "answer": AttnScaleConfig(
        mode="upweight", strength=-3.0, queries="all_text", layers=[1, 2, 3], phase="all"
    ),
    "answer-last": AttnScaleConfig(strength=0.1, queries="last+option", phase="all"),
    "identity": AttnScaleConfig(strength=1.0),
}


class InProcess:
    """The embedded model, by transformers."""

    def __init__(self):
        self.processor = AutoProcessor.from_pretrained(WEIGHTS_DIR)
        self.model = AutoModelForMultimodalLM.from_pretrained(WEIGHTS_DIR).eval()
        self.family = get_family(self.model.config)
        self.letters = self.processor.tokenizer.convert_tokens_to_ids(list(LETTERS))
        questions = load_synth(Kind.EO, scenes=24)
        self.items = []
        for question in questions.questions[:12]:
            audio = questions.audio[question.clip_id]
            prompt = make_prompt(question, Condition.AQA, audio=audio)
            # Of different lengths: a clip's last second may be left out.
            wave = read_audio(prompt.audio[0], 16_000)
            self.items.append((prompt.text, wave[: len(wave) - 2_000 * len(self.items)]))

    @contextmanager
    def edited(self, name):
        """The model with a configuration; None for none."""
        if name is None:
            yield self.model
            return
        wrapped = apply_attn_scale(
            self.model, CONFIGS[name], tokenizer=self.processor, recompute_identity=True
        )
        try:
            yield wrapped
        finally:
            wrapped.unload()

    def inputs(self, text, wave):
        chat = self.family.chat(self.processor, [{"role": "user", "content": text}])
        return self.family.process(self.processor, [chat], [wave])

    def ask(self, text, wave, name=None):
        """Letters' log-probabilities, and how many rows and audio positions were edited."""
        with torch.no_grad(), self.edited(name) as model:
            logits = model(**self.inputs(text, wave)).logits[0, -1]
            status = model.status() if name is not None else None
        return logits.log_softmax(-1)[self.letters].tolist(), status

    def answer(self, text, wave, name, n_tokens):
        """Log-probabilities of the tokens of a greedy answer."""
        with torch.no_grad(), self.edited(name) as model:
            made = model.generate(
                **self.inputs(text, wave),
                max_new_tokens=n_tokens,
                eos_token_id=1_000_000,  # as with ignore_eos: an end is a token like others
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        chosen = made.sequences[0, -n_tokens:]
        steps = torch.cat(made.logits).log_softmax(-1)
        return steps.gather(1, chosen[:, None])[:, 0].tolist()
