"""Qwen2-Audio checkpoints with random weights, of any size."""


def save_random_model(folder, audio, text, features):
    """Save a model with its processor; random weights, the embedded model's tokenizer.

    Args:
        folder: Where to.
        audio: What the encoder's configuration has beside its type.
        text: What the decoder's has beside its vocabulary and special tokens.
        features: Arguments of the feature extractor, beside the sampling rate and the mask.

    Returns:
        The folder's name.
    """
    import torch
    from transformers import (
        Qwen2AudioConfig,
        Qwen2AudioForConditionalGeneration,
        WhisperFeatureExtractor,
    )

    from tempo_tasks.tiny.tokenizer_and_model import build_processor

    processor = build_processor()
    processor.feature_extractor = WhisperFeatureExtractor(
        sampling_rate=16_000, return_attention_mask=True, **features
    )
    tokenizer = processor.tokenizer
    end, pad, heard = map(
        tokenizer.convert_tokens_to_ids, ("<|im_end|>", "<|endoftext|>", "<|AUDIO|>")
    )
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", **audio},
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(tokenizer),
            "eos_token_id": end,
            "pad_token_id": pad,
            "bos_token_id": None,
            **text,
        },
        audio_token_index=heard,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = Qwen2AudioForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = end, pad
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)
