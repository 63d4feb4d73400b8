"""Train the embedded model: `python -m tempo_tasks.tiny.train --out FOLDER`.

Seeded by step, so a killed run goes on from its last checkpoint with the batches it would have
seen. Three losses: the answer letter; which event sounds in each audio token; and, at the option
names in the middle layer, whether and when that event sounds. The two auxiliary heads teach the
small model what to listen for and are dropped afterwards.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import Qwen2AudioForConditionalGeneration

from tempo_attn.files.atomic import replacing
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.synth.sounds import LABELS
from tempo_tasks.tiny.data import load_training_set
from tempo_tasks.tiny.packing import Batch, Packer
from tempo_tasks.tiny.tokenizer_and_model import build_model, build_processor

ACTIVITY_WEIGHT = 4.0
OPTION_WEIGHT = 2.0
TIME_WEIGHT = 10.0
GRADIENT_CLIP = 1.0
CAPTIONS_FROM = 9 / 13  # of all steps: from there on, one more caption question a scene
CODES = [f"{kind.value}_{condition.value}" for condition in Condition for kind in Kind]


class Trainee(nn.Module):
    """The model with its two auxiliary heads."""

    def __init__(self, model: Qwen2AudioForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        decoder = model.get_decoder().config
        hidden = decoder.hidden_size
        self.middle = decoder.num_hidden_layers // 2
        self.activity = nn.Linear(hidden, len(LABELS))
        self.options = nn.Linear(hidden, 4)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, dict[str, Any]]:
        """Return the loss and what to log."""
        inner = self.model.model
        # Scenes fill the encoder's window, so there is nothing to mask.
        audio = inner.multi_modal_projector(
            inner.audio_tower(batch.mels, attention_mask=None).last_hidden_state
        )
        embeds = inner.get_input_embeddings()(batch.input_ids)
        at_audio = batch.input_ids == self.model.config.audio_token_id
        embeds = embeds.masked_scatter(at_audio[..., None], audio.to(embeds.dtype))
        output = inner.language_model(
            inputs_embeds=embeds,
            attention_mask=torch.where(batch.visible, 0.0, torch.finfo(embeds.dtype).min),
            position_ids=batch.position_ids,
            use_cache=False,
            output_hidden_states=True,
        )
        rows, columns = batch.letter_at.T
        logits = self.model.lm_head(output.last_hidden_state[rows, columns])
        ends = self.model.lm_head(output.last_hidden_state[rows, columns + 1])
        end_ids = batch.input_ids[rows, columns + 2]
        letter_loss = F.cross_entropy(logits, batch.letter_ids)
        end_loss = F.cross_entropy(ends, end_ids)

        activity_loss = F.binary_cross_entropy_with_logits(
            self.activity(audio), batch.activity.clamp(max=1.0)
        )
        rows, columns = batch.option_at.T
        guess = self.options(output.hidden_states[self.middle][rows, columns])
        present = batch.option_target[:, 0]
        times = ((guess[:, 1:].sigmoid() - batch.option_target[:, 1:]) ** 2).sum(-1)
        option_loss = F.binary_cross_entropy_with_logits(guess[:, 0], present)
        option_loss = option_loss + TIME_WEIGHT * (times * present).sum() / present.sum()

        loss = (
            letter_loss
            + 0.1 * end_loss
            + ACTIVITY_WEIGHT * activity_loss
            + OPTION_WEIGHT * option_loss
        )
        right = (logits.argmax(-1) == batch.letter_ids).float()
        logged: dict[str, Any] = {
            CODES[code]: right[batch.kinds == code].mean().item()
            for code in sorted(set(batch.kinds.tolist()))
        }
        logged.update(
            letter=letter_loss.item(), activity=activity_loss.item(), option=option_loss.item()
        )
        return loss, logged


def learning_rate(step: int, *, peak: float, warmup: int, steps: int) -> float:
    """Linear warm-up, then cosine to zero."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint beside its place, then rename."""
    with replacing(path) as partial:
        torch.save(state, partial)


def train(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and the finished model.")],
    steps: Annotated[int, typer.Option(help="Optimiser steps in all.")] = 2600,
    scenes: Annotated[int, typer.Option(help="Training scenes.")] = 6000,
    rows: Annotated[int, typer.Option(help="Scenes a step.")] = 16,
    peak: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    warmup: Annotated[int, typer.Option(help="Warm-up steps.")] = 100,
    seed: Annotated[int, typer.Option(help="Seeds weights and batches.")] = 0,
    threads: Annotated[int, typer.Option(help="torch threads.")] = 2,
    save_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 250,
) -> None:
    """Train the embedded model from nothing; go on from FOLDER/checkpoint.pt where it exists."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    processor = build_processor()
    packer = Packer(processor, load_training_set(scenes))
    trainee = Trainee(build_model(processor, seed=seed))
    decayed = [p for p in trainee.parameters() if p.dim() > 1]
    others = [p for p in trainee.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
        lr=peak,
        betas=(0.9, 0.98),
    )
    recipe = {"steps": steps, "scenes": scenes, "rows": rows, "peak": peak, "seed": seed}
    checkpoint = out / "checkpoint.pt"
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["recipe"] != recipe:
            raise typer.BadParameter(
                f"{checkpoint} was made with {state['recipe']}, not {recipe}; name another --out"
            )
        trainee.load_state_dict(state["trainee"])
        optimiser.load_state_dict(state["optimiser"])
        start = state["step"]

    log = (out / "log.jsonl").open("a")
    smooth: dict[str, float] = {}
    bar = tqdm(range(start, steps), initial=start, total=steps, desc="training")
    for step in bar:
        began = time.perf_counter()
        rng = np.random.RandomState([seed, step])
        per_epoch = scenes // rows
        order = np.random.RandomState([seed, 10**6 + step // per_epoch]).permutation(scenes)
        place = (step % per_epoch) * rows
        batch = packer.pack(
            [int(i) for i in order[place : place + rows]],
            rng,
            extra=2 if step < round(CAPTIONS_FROM * steps) else 3,
        )
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, peak=peak, warmup=warmup, steps=steps)
        loss, logged = trainee(batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), GRADIENT_CLIP)
        optimiser.step()
        for name, value in logged.items():
            smooth[name] = 0.95 * smooth.get(name, value) + 0.05 * value
        if step % 10 == 9:
            row = {name: round(value, 3) for name, value in smooth.items()}
            bar.set_postfix({k: row[k] for k in ("eo_aqa", "lo_aqa", "ld_aqa") if k in row})
            row = {"step": step + 1, "seconds": round(time.perf_counter() - began, 3), **row}
            log.write(json.dumps(row) + "\n")
            log.flush()
        if (step + 1) % save_every == 0 or step + 1 == steps:
            state = {
                "recipe": recipe,
                "step": step + 1,
                "trainee": trainee.state_dict(),
                "optimiser": optimiser.state_dict(),
            }
            save_atomically(state, checkpoint)
    log.close()
    trainee.model.save_pretrained(out / "model")
    processor.save_pretrained(out / "model")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    typer.run(train)
