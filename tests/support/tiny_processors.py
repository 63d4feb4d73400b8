"""Real processors over a tokenizer of single characters, for the tiny models: no download.

Windows last one second, which are the 100 mel frames that the tiny encoders take.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tempo_attn.families.granite_mel import GraniteSpeechFeatureExtractor
from tempo_attn.families.shared.audio_half import audio_half
from tempo_attn.families.shared.processors import feature_extractor
from tests.support.tiny_models import AUDIO, MELS, PAD, TOO_NEW

TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'audio' %}AUDIO{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def tokenizer(
    audio_token: str, more: dict[str, int] | None = None, **named: Any
) -> tf.PreTrainedTokenizerFast:
    """Build a tokenizer whose audio token has the id of the tiny models' configurations.

    Args:
        audio_token: The token.
        more: Further special tokens with their ids.
        named: Special tokens by name, as `PreTrainedTokenizerFast` takes them.
    """
    more = more or {}
    characters = "abcdefghijklmnopqrstuvwxyz0123456789 .,:?\nABCDEFGHIJKLMNOPQRSTUVWXYZ'()-"
    vocab = {"<pad>": PAD, "<eos>": 2, "<bos>": 3, "<end>": 4}
    vocab |= {character: 10 + number for number, character in enumerate(characters)}
    vocab |= {audio_token: AUDIO, **more}
    built = Tokenizer(models.WordLevel(vocab, unk_token="?"))
    built.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    built.decoder = decoders.Fuse()
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=built,
        pad_token="<pad>",
        eos_token="<eos>",
        additional_special_tokens=[audio_token, "<bos>", "<end>", *more],
        **named,
    )


def extractor(seconds: int = 1) -> tf.WhisperFeatureExtractor:
    return tf.WhisperFeatureExtractor(feature_size=MELS, chunk_length=seconds, hop_length=160)


def save_processor(processor: Any, folder: Path) -> None:
    """Write a processor; half a one as released checkpoints are, a file for each part."""
    if getattr(processor, "image_processor", processor) is not None:
        processor.save_pretrained(folder)
        return
    feature_extractor(processor).save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    (folder / "chat_template.json").write_text(
        json.dumps({"chat_template": processor.chat_template})
    )
    settings = {k: v for k, v in vars(processor).items() if k == "audio_seq_length"}
    if settings:
        (folder / "processor_config.json").write_text(json.dumps(settings))


def audioflamingo3() -> Any:
    return tf.AudioFlamingo3Processor(
        extractor(),
        tokenizer("<sound>"),
        chat_template=TEMPLATE.replace("AUDIO", "<sound>"),
        max_audio_len=3,
    )


def musicflamingo() -> Any:
    return tf.MusicFlamingoProcessor(
        extractor(),
        tokenizer("<sound>"),
        chat_template=TEMPLATE.replace("AUDIO", "<sound>"),
        audio_bos_token="<bos>",
        audio_eos_token="<end>",
        max_audio_len=3,
    )


def glmasr() -> Any:
    """The audio token is the pad token, as in the released model.

    Windows of two seconds: like the real ones of 30, a whole number of positions.
    """
    tokens = tokenizer("<|pad|>")
    tokens.pad_token = "<|pad|>"
    return tf.GlmAsrProcessor(
        extractor(2), tokens, chat_template=TEMPLATE.replace("AUDIO", "<|pad|>"), max_audio_len=4
    )


def qwen3_asr() -> Any:
    special = {"audio_token": "<a>", "audio_bos_token": "<bos>", "audio_eos_token": "<end>"}
    tokens = tokenizer("<a>", extra_special_tokens=special)
    features = tf.Qwen3ASRFeatureExtractor(feature_size=MELS)
    return tf.Qwen3ASRProcessor(features, tokens, chat_template=TEMPLATE.replace("AUDIO", "<a>"))


def _omni(whole: Any) -> Any:
    """Windows of six seconds; released ones have 300."""
    names = {"audio_token": "<a>", "audio_bos_token": "<on>", "audio_eos_token": "<off>"}
    names |= {"image_token": "<i>", "video_token": "<v>"}
    names |= {"vision_bos_token": "<see>", "vision_eos_token": "<end>"}
    ids = {"<see>": 94, "<i>": 96, "<v>": 97, "<on>": 98, "<off>": 99}
    return audio_half(whole)(
        image_processor=None,
        video_processor=None,
        feature_extractor=extractor(6),
        tokenizer=tokenizer("<a>", ids, extra_special_tokens=names),
        chat_template=TEMPLATE.replace("AUDIO", "<on><a><off>"),
    )


def qwen2_5_omni_thinker() -> Any:
    return _omni(tf.Qwen2_5OmniProcessor)


def qwen3_omni_moe_thinker() -> Any:
    return _omni(tf.Qwen3OmniMoeProcessor)


def _gemma(whole: Any, features: Any, more: dict[str, Any]) -> Any:
    names = {"audio_token": "<a>", "boa_token": "<on>", "eoa_token": "<off>"}
    names |= {"image_token": "<i>", "boi_token": "<see>", "eoi_token": "<end>"}
    ids = {"<on>": 98, "<off>": 99, "<i>": 96, "<see>": 94, "<|video|>": 97}
    return audio_half(whole)(
        image_processor=None,
        feature_extractor=features,
        tokenizer=tokenizer("<a>", ids, extra_special_tokens=names),
        chat_template=TEMPLATE.replace("AUDIO", "<a>"),
        **more,
    )


def gemma3n(positions: int = 12) -> Any:
    """Twelve positions are what the tiny model pads each audio to."""
    features = tf.Gemma3nAudioFeatureExtractor(feature_size=MELS)
    return _gemma(tf.Gemma3nProcessor, features, {"audio_seq_length": positions})


def gemma4() -> Any:
    features = tf.Gemma4AudioFeatureExtractor(feature_size=MELS)
    return _gemma(tf.Gemma4Processor, features, {"video_processor": None})


def gemma4_unified() -> Any:
    features = tf.Gemma4UnifiedAudioFeatureExtractor(160, audio_samples_per_token=160)
    return _gemma(tf.Gemma4UnifiedProcessor, features, {"video_processor": None})


def moss_transcribe_diarize() -> Any:
    names = {"audio_token": "<a>", "audio_bos_token": "<bos>", "audio_eos_token": "<end>"}
    return tf.MossTranscribeDiarizeProcessor(
        tf.MossTranscribeDiarizeFeatureExtractor(MELS, chunk_length=1),
        tokenizer("<a>"),
        chat_template=TEMPLATE.replace("AUDIO", "<bos><a><end>"),
        audio_tokens_per_second=25.0,
        audio_merge_size=2,
        **names,
    )


def fun_asr_nano() -> Any:
    from tempo_attn.families.fun_asr_features import FunAsrNanoFeatureExtractor

    return tf.FunAsrNanoProcessor(
        FunAsrNanoFeatureExtractor(feature_size=MELS),
        tokenizer("<a>"),
        audio_token="<a>",
        chat_template=TEMPLATE.replace("AUDIO", "<a>"),
    )


STRINGS = (  # a text model's template: contents are strings
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def phi4_multimodal() -> Any:
    tokens = tokenizer(
        "<a>", {"<i>": 96}, extra_special_tokens={"audio_token": "<a>", "image_token": "<i>"}
    )
    return audio_half(tf.Phi4MultimodalProcessor)(
        image_processor=None,
        audio_processor=tf.Phi4MultimodalFeatureExtractor(feature_size=MELS),
        tokenizer=tokens,
        chat_template=STRINGS,
    )


def granite_speech() -> Any:
    """Two mel frames in one feature: half of the tiny encoder's bands each."""
    features = GraniteSpeechFeatureExtractor(n_mels=MELS // 2)
    return tf.GraniteSpeechProcessor(features, tokenizer("<|audio|>"), chat_template=STRINGS)


def granite_speech_plus() -> Any:
    return granite_speech()


PROCESSORS = {
    builder.__name__: builder
    for builder in (
        audioflamingo3,
        musicflamingo,
        glmasr,
        qwen3_asr,
        qwen2_5_omni_thinker,
        qwen3_omni_moe_thinker,
        gemma3n,
        gemma4,
        fun_asr_nano,
        granite_speech,
        granite_speech_plus,
        phi4_multimodal,
        gemma4_unified,
        moss_transcribe_diarize,
    )
    if builder.__name__ not in TOO_NEW
}


def noise(*lengths: int) -> list[np.ndarray]:
    """Waveforms of noise, the same in every call."""
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(length).astype(np.float32) for length in lengths]
