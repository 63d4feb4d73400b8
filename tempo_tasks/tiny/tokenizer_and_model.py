"""The embedded model before training: processor, configuration, tokenizer.

Everything is of the Qwen2-Audio family's real classes; only the sizes differ. The mel filter bank
has 64 bands and 20 ms hops, so ten seconds are 500 mel frames and 125 audio tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)

from tempo_tasks.prompts import make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import Kind, build_questions
from tempo_tasks.sources.synth.caption import weak_caption
from tempo_tasks.sources.synth.scene import SCENE_SECONDS, draw_scene, scene_name
from tempo_tasks.sources.synth.sounds import LABELS, RATE

SYSTEM_PROMPT = "You are a helpful assistant."
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|AUDIO|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
)
VOCAB_SIZE = 640
HOP = 320  # samples, 20 ms

# Qwen2-Audio-Instruct's ChatML form, with its numbered audio line.
CHAT_TEMPLATE = (
    "{% set audio = namespace(count=0) %}"
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\n" + SYSTEM_PROMPT + "<|im_end|>\n"
    "{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'audio' %}"
    "{% set audio.count = audio.count + 1 %}"
    "Audio {{ audio.count }}: <|audio_bos|><|AUDIO|><|audio_eos|>\n"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# The pre-tokeniser of Qwen2's tokenizer.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _corpus() -> Iterator[str]:
    """Yield prompts of training scenes, as the tokenizer sees them."""
    clips = []
    for number in range(400):
        clip = draw_scene(scene_name("tokenizer", number)).clip
        clips.append(clip)
    captions = {clip.id: weak_caption(clip) for clip in clips}
    for kind in Kind:
        for question in build_questions(clips, kind, labels=LABELS):
            caption = captions[question.clip_id]
            text = make_prompt(question, Condition.CQA, caption=caption).text
            yield f"system\n{SYSTEM_PROMPT}\nuser\nAudio 1: \n{text}\nassistant\n{question.answer}"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer on rendered prompts; any text round-trips."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS),
        padding_side="left",
        model_max_length=1024,
    )


def build_processor() -> Qwen2AudioProcessor:
    """Build the processor: Whisper features, tokenizer, chat template."""
    features = WhisperFeatureExtractor(
        feature_size=64,
        sampling_rate=RATE,
        hop_length=HOP,
        chunk_length=int(SCENE_SECONDS),
        n_fft=2 * HOP,
        return_attention_mask=True,
    )
    return Qwen2AudioProcessor(
        feature_extractor=features, tokenizer=build_tokenizer(), chat_template=CHAT_TEMPLATE
    )


def build_model(
    processor: Qwen2AudioProcessor, *, seed: int = 0
) -> Qwen2AudioForConditionalGeneration:
    """Build the untrained model that goes with a processor."""
    tokenizer = processor.tokenizer
    special = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    # Newer releases of transformers have no such field; in 5.10 its default is True.
    untied: dict[str, Any] = {"tie_word_embeddings": False}
    config = Qwen2AudioConfig(
        audio_config={
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": 64,
            "d_model": 128,
            "encoder_layers": 3,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 512,
            "max_source_positions": int(SCENE_SECONDS * RATE / HOP / 2),
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(tokenizer),
            "hidden_size": 128,
            "intermediate_size": 320,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 1024,
            "bos_token_id": None,
            "eos_token_id": special["<|im_end|>"],
            "pad_token_id": special["<|endoftext|>"],
        },
        audio_token_index=special["<|AUDIO|>"],
        **untied,
    )
    torch.manual_seed(seed)
    model = Qwen2AudioForConditionalGeneration(config)
    model.generation_config.eos_token_id = special["<|im_end|>"]
    model.generation_config.pad_token_id = special["<|endoftext|>"]
    return model
