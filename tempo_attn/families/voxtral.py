"""Voxtral: Whisper-like encoder, four frames in one `[AUDIO]` position of 80 ms, Llama decoder.

Its chats are encoded by mistral-common, which returns token ids: there is no text in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers.utils.import_utils import is_mistral_common_available

from tempo_attn.families.mistral_chats import check_tokenizer, encode_chats
from tempo_attn.families.shared.chats import Chat, ChatFamily
from tempo_attn.families.shared.extras import require_extra

AUDIO_TOKEN_ID = 24
"""`[AUDIO]` in Mistral's tokenizers; transformers' processor has it fixed, too."""

_FRAMES_PER_POSITION = 8  # a strided convolution of two mel frames, then four frames in one
_LONGEST = 40 * 60.0


class Voxtral(ChatFamily):
    """Voxtral Mini and Small (arXiv 2507.13264)."""

    name = "voxtral"
    model_types = ("voxtral",)

    def audio_token_id(self, config: Any) -> int:
        """See `Family.audio_token_id`; configurations may leave it out."""
        token_id = getattr(config, "audio_token_id", None)
        return AUDIO_TOKEN_ID if token_id is None else int(token_id)

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """See `Family.load_processor`.

        Raises:
            MissingExtraError: mistral-common is not installed.
        """
        # Without it, transformers would fall back to a tokenizer that knows nothing of audio.
        require_extra(
            "voxtral", "mistral_common", f"{pretrained} (Voxtral)", is_mistral_common_available
        )
        return super().load_processor(pretrained, **kwargs)

    def check(self, config: Any, processor: Any) -> None:
        """See `Family.check`."""
        check_tokenizer(
            config, getattr(processor, "tokenizer", processor), self.audio_token_id(config)
        )

    def max_seconds(self, processor: Any) -> float:
        """See `Family.max_seconds`: heard in windows of 30 s, up to 40 minutes by its authors."""
        return _LONGEST

    def encode(self, processor: Any, chats: Sequence[Chat]) -> Any:
        """See `ChatFamily.encode`."""
        return encode_chats(processor, chats, self.sampling_rate(processor))

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """See `Family.n_audio_tokens`: whole windows of 30 s, whose padding is heard, too."""
        extractor = processor.feature_extractor
        windows = -(-n_samples // int(extractor.n_samples))
        return windows * -(-int(extractor.nb_max_frames) // _FRAMES_PER_POSITION)
