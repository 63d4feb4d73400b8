"""The configuration of a DeSTA2.5 checkpoint, as its file says: transformers has no class for it.

The one of the package `desta` fetches the configurations of Llama and Whisper when it is made.
"""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

MODEL_TYPE = "desta25"


class Desta25Config(PreTrainedConfig):
    """What the harness must know before the package loads the model."""

    model_type = MODEL_TYPE

    def __init__(
        self,
        llm_model_id: str = "DeSTA-ntu/Llama-3.1-8B-Instruct",
        encoder_model_id: str = "openai/whisper-large-v3",
        prompt_size: int = 64,
        audio_locator: str = "<|AUDIO|>",
        placeholder_token: str = "<|reserved_special_token_87|>",
        **kwargs: Any,
    ) -> None:
        self.llm_model_id = llm_model_id
        self.encoder_model_id = encoder_model_id
        self.prompt_size = prompt_size
        self.audio_locator = audio_locator
        self.placeholder_token = placeholder_token
        super().__init__(**kwargs)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Any:
        """Return the language model's configuration, where the file has it; else itself."""
        text = getattr(self, "llm_config", None)
        if not isinstance(text, dict) or "model_type" not in text:
            return self
        rest = {name: value for name, value in text.items() if name != "model_type"}
        return AutoConfig.for_model(text["model_type"], **rest)


def register() -> None:
    """Let `AutoConfig` read the configuration of a DeSTA2.5 checkpoint."""
    AutoConfig.register(MODEL_TYPE, Desta25Config, exist_ok=True)
