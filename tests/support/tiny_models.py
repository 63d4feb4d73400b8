"""One tiny model of every family: the real transformers classes, small configurations, no download.

Weights are larger than the default: with those, attention is almost uniform and hides mistakes.
Every builder is deterministic and takes well under a second. Where a class is not on PyPI, the
stand-ins of `stand_ins.py` keep the layout that the family relies on.

    tiny = FAMILIES["voxtral"]()
    logits = tiny.logits()              # one prompt with audio
    logits = tiny.logits(tiny.batch)    # two of different lengths, padded on the left
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import transformers as tf
from torch import Tensor, nn

from tempo_attn.families.kimi import kernel
from tempo_attn.families.kimi.model import to_reading
from tempo_attn.families.kimi.repair import repair_for_transformers_5
from tempo_attn.families.shared.audio_lengths import encoder_tokens, qwen3_encoder_tokens
from tests.support.stand_ins import Desta, DestaConfig

with kernel.importable():
    from tests.support.kimi_code.configuration_moonshot_kimia import KimiAudioConfig
    from tests.support.kimi_code.modeling_moonshot_kimia import MoonshotKimiaForCausalLM

VOCAB = 100
AUDIO = 95
PAD = 0
MELS = 16
PROMPTS = [(5, 88, 7), (4, 60, 4)]
"""Two prompts: tokens before the audio, mel frames of audio, tokens after it."""

TEXT: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": PAD,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
WHISPER: dict[str, Any] = {
    "num_mel_bins": MELS,
    "d_model": 16,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "max_source_positions": 50,
}


@dataclass(frozen=True)
class Tiny:
    """A tiny model and prompts for it.

    Attributes:
        name: The family's entry in `FAMILIES`.
        model: The model, as a user has it.
        config: Its configuration.
        inputs: One prompt with audio.
        spans: Where the sets of keys are in `inputs`, from how the prompt was laid out.
        batch: Two prompts of different lengths, padded on the left, where the model takes them.
        batch_spans: Where the sets of keys are in `batch`.
        run: What is called with the inputs: the model, or the part of it that has a forward.
    """

    name: str
    model: nn.Module
    config: Any
    inputs: dict[str, Any]
    spans: dict[str, Tensor]
    batch: dict[str, Any] | None = None
    batch_spans: dict[str, Tensor] = field(default_factory=dict)
    run: Callable[..., Any] = None  # type: ignore[assignment]

    def logits(self, inputs: dict[str, Any] | None = None, **more: Any) -> Tensor:
        """Run a forward pass without gradients; logits are (batch, tokens, vocabulary)."""
        with torch.no_grad():
            logits: Tensor = (self.run or self.model)(**(inputs or self.inputs), **more).logits
        return logits


# ------------------------------------------------------------------------------ prompts, weights


def strong(model: nn.Module) -> nn.Module:
    """Enlarge the weights, so that attention is far from uniform; evaluation mode."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                # Logits are products of queries and keys: these need more.
                sharp = any(part in name for part in ("q_proj", "k_proj", "qkv_proj"))
                parameter.mul_(12.0 if sharp else 3.0)
    return model.eval()


def lay_out(
    parts: list[tuple[int, int, int]], pad: int = PAD, marks: tuple[int, ...] = ()
) -> tuple[dict[str, Any], Tensor]:
    """Lay out prompts of (text, audio, text) tokens, padded on the left.

    Args:
        parts: Numbers of tokens, one prompt an entry.
        pad: The padding token.
        marks: Tokens that stand right before and right behind audio, as part of the text.

    Returns:
        `input_ids` and `attention_mask`, and where the audio is, each (batch, tokens).
    """
    generator = torch.Generator().manual_seed(1)
    length = max(sum(part) for part in parts)
    ids = torch.full((len(parts), length), pad)
    real, audio = torch.zeros_like(ids), torch.zeros(ids.shape, dtype=torch.bool)
    for row, (before, sounds, after) in enumerate(parts):
        start = length - before - sounds - after
        ids[row, start:] = torch.randint(10, 80, (length - start,), generator=generator)
        real[row, start:] = 1
        ids[row, start + before : start + before + sounds] = AUDIO
        audio[row, start + before : start + before + sounds] = True
        for mark, where in zip(marks, (start + before - 1, start + before + sounds), strict=False):
            ids[row, where] = mark
    return {"input_ids": ids, "attention_mask": real}, audio


def mel(frames: list[int], width: int) -> tuple[Tensor, Tensor]:
    """Noise as features (batch, mel bands, width), and its mask (batch, width)."""
    generator = torch.Generator().manual_seed(2)
    mask = (torch.arange(width) < torch.tensor(frames)[:, None]).long()
    return torch.randn(len(frames), MELS, width, generator=generator) * mask[:, None], mask


def hearing(
    name: str,
    model: nn.Module,
    tokens: Callable[[int], int],
    features: Callable[[list[int]], dict[str, Any]],
    *,
    pad: int = PAD,
    marks: tuple[int, ...] = (),
    run: Callable[..., Any] | None = None,
) -> Tiny:
    """Give a model its prompts: `tokens` of a number of mel frames, `features` of a batch."""

    def prompts(chosen: list[tuple[int, int, int]]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        ids, audio = lay_out([(b, tokens(f), a) for b, f, a in chosen], pad, marks)
        return ids | features([frames for _, frames, _ in chosen]), {"audio": audio}

    strong(model)
    one, spans = prompts(PROMPTS[:1])
    two, batch_spans = prompts(PROMPTS)
    return Tiny(name, model, model.config, one, spans, two, batch_spans, run or model)


# ------------------------------------------------------------------------------ the models


def qwen2_audio() -> Tiny:
    torch.manual_seed(0)
    config = tf.Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", **WHISPER},
        text_config={"model_type": "qwen2", **TEXT},
        audio_token_index=AUDIO,
        tie_word_embeddings=False,  # the default in transformers 5.10 is True
    )

    def features(frames: list[int]) -> dict[str, Any]:
        values, mask = mel(frames, 100)
        return {"input_features": values, "feature_attention_mask": mask}

    model = tf.Qwen2AudioForConditionalGeneration(config)
    return hearing("qwen2_audio", model, encoder_tokens, features)


def audioflamingo3(name: str = "audioflamingo3") -> Tiny:
    torch.manual_seed(0)
    kinds = {
        "audioflamingo3": (tf.AudioFlamingo3Config, tf.AudioFlamingo3ForConditionalGeneration),
        "musicflamingo": (tf.MusicFlamingoConfig, tf.MusicFlamingoForConditionalGeneration),
    }
    configuration, kind = kinds[name]
    config = configuration(
        audio_config={"model_type": "audioflamingo3_encoder", **WHISPER},
        text_config={"model_type": "qwen2", **TEXT},
        audio_token_id=AUDIO,
    )

    def features(frames: list[int]) -> dict[str, Any]:
        values, mask = mel(frames, 100)
        return {"input_features": values, "input_features_mask": mask}

    return hearing(name, kind(config), encoder_tokens, features)


def musicflamingo() -> Tiny:
    return audioflamingo3("musicflamingo")


def voxtral() -> Tiny:
    torch.manual_seed(0)
    config = tf.VoxtralConfig(
        audio_config={"model_type": "voxtral_encoder", **WHISPER, "max_source_positions": 48},
        text_config={"model_type": "llama", **TEXT},
        audio_token_id=AUDIO,
    )

    def features(frames: list[int]) -> dict[str, Any]:
        return {"input_features": mel([96] * len(frames), 96)[0]}

    # Every audio fills its window; here one of 96 frames, with 2 encoder frames a position.
    model = tf.VoxtralForConditionalGeneration(config)
    return hearing("voxtral", model, lambda frames: 24, features)


OMNI_VISION = {"depth": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 32}


def _qwen25_thinker() -> dict[str, Any]:
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}
    return {
        "audio_config": {**WHISPER, "n_window": 20, "output_dim": 32},
        "vision_config": {**OMNI_VISION, "out_hidden_size": 32, "fullatt_block_indexes": [0]},
        "text_config": {**TEXT, "rope_parameters": rope},
        "audio_token_index": AUDIO,
        "image_token_index": 96,
        "video_token_index": 97,
        "audio_start_token_id": 98,
        "audio_end_token_id": 99,
        "vision_start_token_id": 94,
    }


def _qwen3_thinker() -> dict[str, Any]:
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    return {
        "audio_config": {**WHISPER, "output_dim": 32, "downsample_hidden_size": 8},
        "vision_config": {
            **OMNI_VISION,
            "out_hidden_size": 32,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 16,
        },
        "text_config": {**TEXT, "rope_parameters": rope, **experts},
        "audio_token_id": AUDIO,
        "image_token_id": 96,
        "video_token_id": 97,
        "audio_start_token_id": 98,
        "vision_start_token_id": 94,
    }


def _omni(name: str, model: nn.Module, tokens: Callable[[int], int], run: Any = None) -> Tiny:
    def features(frames: list[int]) -> dict[str, Any]:
        values, mask = mel(frames, 100)
        return {"input_features": values, "feature_attention_mask": mask}

    # Rotary positions are three-dimensional from the audio's start token on.
    return hearing(name, model, tokens, features, marks=(98, 99), run=run)


def qwen2_5_omni_thinker() -> Tiny:
    torch.manual_seed(0)
    config = tf.Qwen2_5OmniThinkerConfig(**_qwen25_thinker())
    model = tf.Qwen2_5OmniThinkerForConditionalGeneration(config)
    return _omni("qwen2_5_omni_thinker", model, encoder_tokens)


def qwen2_5_omni() -> Tiny:
    """The full model, without its talker; it has no forward, only its thinker has."""
    torch.manual_seed(0)
    config = tf.Qwen2_5OmniConfig(thinker_config=_qwen25_thinker(), enable_audio_output=False)
    model = tf.Qwen2_5OmniForConditionalGeneration(config)
    return _omni("qwen2_5_omni", model, encoder_tokens, run=model.thinker)


def qwen3_omni_moe_thinker() -> Tiny:
    torch.manual_seed(0)
    config = tf.Qwen3OmniMoeThinkerConfig(**_qwen3_thinker())
    model = tf.Qwen3OmniMoeThinkerForConditionalGeneration(config)
    return _omni("qwen3_omni_moe_thinker", model, qwen3_encoder_tokens)


def qwen3_omni_moe() -> Tiny:
    """The full model, without its talker; it has no forward, only its thinker has."""
    torch.manual_seed(0)
    config = tf.Qwen3OmniMoeConfig(thinker_config=_qwen3_thinker(), enable_audio_output=False)
    model = tf.Qwen3OmniMoeForConditionalGeneration(config)
    return _omni("qwen3_omni_moe", model, qwen3_encoder_tokens, run=model.thinker)


GRANITE = {  # as in released ones, none is 1
    "attention_multiplier": 0.2,
    "embedding_multiplier": 2.0,
    "residual_multiplier": 0.6,
    "logits_scaling": 0.5,
}


def granite_speech(name: str = "granite_speech", text: dict[str, Any] | None = None) -> Tiny:
    torch.manual_seed(0)
    plus = name == "granite_speech_plus"
    configuration = tf.GraniteSpeechPlusConfig if plus else tf.GraniteSpeechConfig
    config = configuration(
        text_config=text or {"model_type": "granite", **TEXT, **GRANITE},
        encoder_config={
            "input_dim": MELS,
            "num_layers": 2,
            "hidden_dim": 16,
            "num_heads": 2,
            "output_dim": 8,
            "context_size": 20,
            "max_pos_emb": 32,
            "dropout": 0.0,
            **({"cat_hidden_layers": [1]} if plus else {}),
        },
        projector_config={
            "model_type": "blip_2_qformer",
            "hidden_size": 16,
            "encoder_hidden_size": 32 if plus else 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "cross_attention_frequency": 1,
        },
        audio_token_index=AUDIO,
        has_lora_adapter=False,
        tie_word_embeddings=False,
    )

    def positions(frames: int) -> int:
        return 3 * -(-frames // 15)

    def features(frames: list[int]) -> dict[str, Any]:
        counts = torch.tensor([positions(count) for count in frames])
        mask = torch.arange(int(counts.max())) < counts[:, None]
        return {
            "input_features": mel(frames, max(frames))[0].transpose(1, 2).contiguous(),
            "input_features_mask": mask,
        }

    kinds = (tf.GraniteSpeechForConditionalGeneration, tf.GraniteSpeechPlusForConditionalGeneration)
    return hearing(name, kinds[plus](config), positions, features)


def granite_speech_plus() -> Tiny:
    """Its projector hears an earlier layer of the encoder, too."""
    return granite_speech("granite_speech_plus")


def granite_speech_hybrid() -> Tiny:
    """With a hybrid decoder: the middle layer is a state space layer without attention."""
    hybrid = {
        "model_type": "granitemoehybrid",
        **TEXT,
        "layer_types": ["full_attention", "mamba", "full_attention"],
        "num_local_experts": 0,
        "shared_intermediate_size": 48,
        **GRANITE,
        "mamba_n_heads": 4,
        "mamba_d_head": 16,
        "mamba_d_state": 8,
        "mamba_chunk_size": 8,
    }
    return granite_speech("granite_speech_hybrid", hybrid)


@contextmanager
def without_timm() -> Iterator[None]:
    """Build Gemma 3n without its vision tower, which needs timm; no prompt here has images."""
    build = tf.AutoModel.from_config

    def without_vision(*args: Any, **kwargs: Any) -> nn.Module:
        parts = (*args, *kwargs.values())
        seeing = any(isinstance(part, tf.Gemma3nVisionConfig) for part in parts)
        return nn.Identity() if seeing else build(*args, **kwargs)

    with mock.patch.object(tf.AutoModel, "from_config", without_vision):
        yield


GEMMA_TEXT = {
    **TEXT,
    "num_hidden_layers": 5,
    "layer_types": ["sliding_attention", "full_attention"] * 2 + ["full_attention"],
    "sliding_window": 12,
    "num_kv_shared_layers": 1,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": VOCAB,
    "final_logit_softcapping": 30.0,
}


def gemma3n(positions: int = 12) -> Tiny:
    """Each audio has so many positions; released models have 188."""
    torch.manual_seed(0)
    config = tf.Gemma3nConfig(
        text_config={
            **GEMMA_TEXT,
            "intermediate_size": 48,
            "laurel_rank": 4,
            "activation_sparsity_pattern": [0.0] * 5,
        },
        audio_config={
            "vocab_size": 6,
            "vocab_offset": 94,
            "input_feat_size": MELS,
            "hidden_size": 16,
            "conf_num_attention_heads": 2,
            "conf_num_hidden_layers": 1,
            "sscp_conv_channel_size": [8, 4],
        },
        vision_config={"hidden_size": 8, "vocab_size": 4, "vocab_offset": 90},
        audio_token_id=AUDIO,
        image_token_id=91,
        audio_soft_tokens_per_image=positions,
        tie_word_embeddings=True,
    )

    def features(frames: list[int]) -> dict[str, Any]:
        values, mask = mel(frames, 100)
        return {"input_features": values.transpose(1, 2), "input_features_mask": mask.bool()}

    with without_timm():
        model = tf.Gemma3nForConditionalGeneration(config)
    return hearing("gemma3n", model, lambda frames: positions, features)


GEMMA4_TEXT = {**GEMMA_TEXT, "global_head_dim": 16}


def gemma4_unified() -> Tiny:
    """Without encoders: a position is a frame of 160 samples."""
    torch.manual_seed(0)
    left_out = {"hidden_size_per_layer_input", "vocab_size_per_layer_input", "num_kv_shared_layers"}
    config = tf.Gemma4UnifiedConfig(
        text_config={k: v for k, v in GEMMA4_TEXT.items() if k not in left_out},
        audio_config={"audio_samples_per_token": 160, "audio_embed_dim": 160},
        audio_token_id=AUDIO,
        image_token_id=96,
        video_token_id=97,
        tie_word_embeddings=False,
    )

    def features(frames: list[int]) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(2)
        mask = torch.arange(max(frames) // 8) < torch.tensor(frames)[:, None] // 8
        values = torch.randn(*mask.shape, 160, generator=generator)
        return {"input_features": values * mask[..., None], "input_features_mask": mask}

    model = tf.Gemma4UnifiedForConditionalGeneration(config)
    return hearing("gemma4_unified", model, lambda frames: frames // 8, features)


def gemma4() -> Tiny:
    torch.manual_seed(0)
    config = tf.Gemma4Config(
        text_config=GEMMA4_TEXT,
        audio_config={
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "subsampling_conv_channels": [MELS, 4],  # the first also counts the mel bands
            "output_proj_dims": 24,
        },
        audio_token_id=AUDIO,
        image_token_id=96,
        video_token_id=97,
        tie_word_embeddings=False,
    )

    def features(frames: list[int]) -> dict[str, Any]:
        values, mask = mel(frames, 100)
        return {"input_features": values.transpose(1, 2), "input_features_mask": mask.bool()}

    def positions(frames: int) -> int:
        return ((frames + 1) // 2 + 1) // 2

    return hearing("gemma4", tf.Gemma4ForConditionalGeneration(config), positions, features)


def fun_asr_nano() -> Tiny:
    torch.manual_seed(0)
    config = tf.FunAsrNanoConfig(
        audio_config={
            "model_type": "fun_asr_nano_encoder",
            "num_mel_bins": MELS,
            "hidden_size": 16,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_timestamp_prediction_layers": 1,
        },
        adaptor_config={
            "hidden_size": 32,
            "intermediate_size": 8,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "projector_hidden_size": 32,
        },
        text_config={"model_type": "qwen3", **TEXT},
        audio_token_id=AUDIO,
        tie_word_embeddings=False,
    )

    def positions(frames: int) -> int:
        return -(-frames // 6)

    def features(frames: list[int]) -> dict[str, Any]:
        """Seven mel frames in one, six further each time."""
        generator = torch.Generator().manual_seed(2)
        counts = torch.tensor([positions(count) for count in frames])
        mask = torch.arange(int(counts.max())) < counts[:, None]
        values = torch.randn(*mask.shape, 7 * MELS, generator=generator)
        return {"input_features": values * mask[..., None], "input_features_mask": mask}

    model = tf.FunAsrNanoForConditionalGeneration(config)
    return hearing("fun_asr_nano", model, positions, features)


def moss_transcribe_diarize() -> Tiny:
    """Windows of one second; two frames of the encoder's 50 are one position."""
    torch.manual_seed(0)
    config = tf.MossTranscribeDiarizeConfig(
        audio_config={"model_type": "moss_transcribe_diarize_audio", **WHISPER},
        text_config={"model_type": "qwen3", **TEXT},
        audio_token_id=AUDIO,
        audio_merge_size=2,
        audio_chunk_size=16000,
        tie_word_embeddings=False,
    )

    def features(frames: list[int]) -> dict[str, Any]:
        values, mask = mel(frames, 100)
        samples = torch.arange(16000) < 160 * torch.tensor(frames)[:, None]
        return {"input_features": values, "input_features_mask": mask, "padding_mask": samples}

    model = tf.MossTranscribeDiarizeForConditionalGeneration(config)
    return hearing("moss_transcribe_diarize", model, lambda f: ((f - 1) // 2 + 1) // 2, features)


def qwen3_asr() -> Tiny:
    torch.manual_seed(0)
    config = tf.Qwen3ASRConfig(
        audio_config={
            **{k: v for k, v in WHISPER.items() if k != "max_source_positions"},
            "model_type": "qwen3_asr_encoder",
            "output_dim": 32,
            "downsample_hidden_size": 8,
        },
        text_config={"model_type": "qwen3", **TEXT},
        audio_token_id=AUDIO,
        tie_word_embeddings=False,
    )

    def features(frames: list[int]) -> dict[str, Any]:
        values, mask = mel(frames, 100)
        return {"input_features": values, "input_features_mask": mask}

    model = tf.Qwen3ASRForConditionalGeneration(config)
    return hearing("qwen3_asr", model, qwen3_encoder_tokens, features)


def glmasr() -> Tiny:
    """Its pad token is its audio token, as in the released model.

    The batch is padded with another one: the model's own check would count padding as audio.
    """
    torch.manual_seed(0)
    config = tf.GlmAsrConfig(
        audio_config={
            "model_type": "glmasr_encoder",
            "num_mel_bins": MELS,
            "hidden_size": 16,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 50,
        },
        text_config={"model_type": "llama", **TEXT, "pad_token_id": AUDIO},
        audio_token_id=AUDIO,
        tie_word_embeddings=False,
    )

    def features(frames: list[int]) -> dict[str, Any]:
        values, mask = mel(frames, 96)
        return {"input_features": values, "input_features_mask": mask}

    def positions(frames: int) -> int:
        return ((frames - 1) // 2 + 1) // 4

    model = tf.GlmAsrForConditionalGeneration(config)
    return hearing("glmasr", model, positions, features)


def phi4_multimodal() -> Tiny:
    torch.manual_seed(0)
    config = tf.Phi4MultimodalConfig(
        **{k: v for k, v in TEXT.items() if k != "head_dim"},
        audio_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_blocks": 2,
            "num_attention_heads": 2,
            "ext_pw_out_channel": 16,
            "depthwise_separable_out_channel": 16,
            "nemo_conv_channels": 8,
            "input_size": MELS,
            "audio_token_id": AUDIO,
            "feature_layer": -1,
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 28,
            "crop_size": 28,
            "image_token_id": 96,
        },
    )

    def positions(frames: int) -> int:
        return -(-frames // 8)

    def features(frames: list[int]) -> dict[str, Any]:
        values, mask = mel(frames, max(frames))
        return {
            "audio_input_features": values.transpose(1, 2),
            "audio_embed_sizes": torch.tensor([positions(count) for count in frames]),
            "audio_attention_mask": mask.bool() if len(frames) > 1 else None,
        }

    model = tf.Phi4MultimodalForCausalLM(config)
    return hearing("phi4_multimodal", model, positions, features)


def desta25() -> Tiny:
    """A stand-in; 6 positions for each audio, then a transcript of 4 or 2 tokens."""
    torch.manual_seed(0)
    llm = tf.LlamaForCausalLM(tf.LlamaConfig(**TEXT))
    model = Desta(DestaConfig(prompt_size=6), llm, MELS)
    words = [torch.tensor([[81, 82, 83, 84]]), torch.tensor([85, 86])]

    def prompts(chosen: list[tuple[int, int, int]]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        said = words[: len(chosen)]
        ids, both = lay_out(
            [(b, 6 + w.numel(), a) for (b, _, a), w in zip(chosen, said, strict=True)]
        )
        starts = [(row, int(span.nonzero()[0])) for row, span in enumerate(both)]
        transcript = both.clone()
        for row, start in starts:
            transcript[row, : start + 6] = False
        inputs = ids | {
            "batch_features": mel([f for _, f, _ in chosen], 100)[0],
            "batch_transcription_ids": said,
            "batch_start_positions": starts,
        }
        return inputs, {"audio": both & ~transcript, "transcript": transcript}

    strong(model)
    one, spans = prompts(PROMPTS[:1])
    two, batch_spans = prompts(PROMPTS)
    return Tiny("desta25", model, model.config, one, spans, two, batch_spans, model)


def kimi_audio() -> Tiny:
    """A stand-in; the text stream holds a blank where the audio stream has audio, and back."""
    torch.manual_seed(0)
    text = {k: v for k, v in TEXT.items() if k != "head_dim"}
    plain = MoonshotKimiaForCausalLM(KimiAudioConfig(**text, kimia_adaptor_input_dim=12))
    kernel.use_torch_attention(plain)
    repair_for_transformers_5(plain)
    blank = 3
    model = to_reading(plain, blank, TEXT["eos_token_id"])

    def prompts(chosen: list[tuple[int, int, int]]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        ids, audio = lay_out([(before, f // 8, after) for before, f, after in chosen])
        text = ids["input_ids"]
        generator = torch.Generator().manual_seed(3)
        inputs = {
            "input_ids": torch.where(audio, text, blank),
            "text_input_ids": torch.where(audio, blank, text),
            "whisper_input_feature": torch.randn(1, int(audio.sum()), 12, generator=generator),
            "is_continuous_mask": audio,
            "attention_mask": ids["attention_mask"],
        }
        return inputs, {"audio": audio}

    strong(model)
    one, spans = prompts(PROMPTS[:1])
    two, batch_spans = prompts(PROMPTS)
    return Tiny("kimi_audio", model, model.config, one, spans, two, batch_spans, model)


_YOUNG = {
    "qwen3_asr": "Qwen3ASRConfig",
    "fun_asr_nano": "FunAsrNanoConfig",
    "gemma4_unified": "Gemma4UnifiedConfig",
    "moss_transcribe_diarize": "MossTranscribeDiarizeConfig",
}
TOO_NEW = {name for name, config in _YOUNG.items() if not hasattr(tf, config)}
"""Younger than the installed transformers."""

FAMILIES: dict[str, Callable[[], Tiny]] = {
    builder.__name__: builder
    for builder in (
        qwen2_audio,
        audioflamingo3,
        musicflamingo,
        voxtral,
        qwen2_5_omni_thinker,
        qwen2_5_omni,
        qwen3_omni_moe_thinker,
        qwen3_omni_moe,
        granite_speech,
        granite_speech_plus,
        granite_speech_hybrid,
        gemma3n,
        gemma4,
        gemma4_unified,
        fun_asr_nano,
        moss_transcribe_diarize,
        qwen3_asr,
        glmasr,
        phi4_multimodal,
        desta25,
        kimi_audio,
    )
    if builder.__name__ not in TOO_NEW
}
