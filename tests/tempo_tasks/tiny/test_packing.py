"""A packed training row gives each question the logits it has alone, by the real processor."""

import numpy as np
import pytest
import torch

from tempo_tasks.sources.synth.scene import TRAIN_SPLIT, draw_scene, render, scene_name
from tempo_tasks.tiny.data import load_training_set
from tempo_tasks.tiny.packing import Packer
from tempo_tasks.tiny.tokenizer_and_model import build_model, build_processor


@pytest.mark.slow
@pytest.mark.parametrize("segment", [0, 2, 3, 4], ids=["eo_aqa", "ld_aqa", "acqa", "cqa"])
def test_packed_logits_equal_alone(segment):
    processor = build_processor()
    data = load_training_set(2, workers=1)
    packer = Packer(processor, data)
    model = build_model(processor).eval()
    # Larger weights: at the default initialisation attention is uniform and hides mistakes.
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(3.0)
    batch = packer.pack([1], np.random.RandomState(0))
    row, column = batch.letter_at[segment].tolist()

    with torch.no_grad():
        audio = model.model.multi_modal_projector(
            model.model.audio_tower(batch.mels, attention_mask=None).last_hidden_state
        )
        embeds = model.get_input_embeddings()(batch.input_ids)
        embeds = embeds.masked_scatter(
            (batch.input_ids == model.config.audio_token_id)[..., None], audio
        )
        mask = torch.where(batch.visible, 0.0, torch.finfo(torch.float32).min)
        hidden = model.model.language_model(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=batch.position_ids,
            use_cache=False,
        ).last_hidden_state
        packed = model.lm_head(hidden[row, column])

        # The same question as text, by the processor, from the waveform.
        start = 0 if segment == 0 else batch.letter_at[segment - 1][1].item() + 3
        ids = (
            batch.input_ids[0, : column + 1]
            if segment == 0
            else batch.input_ids[0, start : column + 1]
        )
        text = processor.tokenizer.decode(ids)
        if segment not in (0, 4):
            text = processor.tokenizer.decode(packer.prefix) + text
        text = text.replace("<|AUDIO|>" * 125, "<|AUDIO|>")
        wave = np.round(render(draw_scene(scene_name(TRAIN_SPLIT, 1))) * 32767) / 32768
        inputs = processor(
            text=[text],
            audio=[wave] if segment != 4 else None,
            sampling_rate=16000,
            return_tensors="pt",
        )
        alone = model(**inputs).logits[0, -1]
    assert torch.allclose(packed, alone, atol=2e-3), (packed - alone).abs().max()
    assert packed.std() > 0.1
