"""MoonshotKimiaForCausalLM, the remote code of Kimi-Audio's checkpoint, as a model that reads.

The class takes what its package has prepared: speech tokens and Whisper's features. Here both
encoders belong to the model, and its forward makes them of the clips' features. It answers in text:
of the two heads the one that speaks is not kept, and the audio stream behind the prompt is blank,
as in the package's own loop for text. So `logits` are the text head's, and `generate` is
transformers' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    GenerationConfig,
    GenerationMixin,
    WhisperModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from tempo_attn.errors import OptionError, UnsupportedModelError
from tempo_attn.families.kimi import kernel
from tempo_attn.families.kimi.repair import choose_any_position, repair_for_transformers_5
from tempo_attn.families.kimi.speech_tokens import load_speech_tokenizer, speech_tokenizer_of
from tempo_attn.families.kimi.tokenizer import BLANK, TEXT_END, load_tokenizer
from tempo_attn.families.shared.own_loading import one_device, refuse_arguments

WHISPER = "whisper-large-v3"
"""The checkpoint's folder with the Whisper that gives features."""
_CACHES = ("cache", "past_key_values")  # transformers' name since 5.24, and before


class ReadingKimi(GenerationMixin):
    """Mixed into MoonshotKimiaForCausalLM: both encoders, text logits, transformers' `generate`.

    Attributes:
        whisper: The encoder of the features; None where they are given.
        speech_tokenizer: Gives the discrete tokens; None where they are given.
        blank: The id that fills a stream where the other one speaks.
    """

    model: Any
    lm_head: Any
    config: Any
    whisper: Any
    speech_tokenizer: Any
    blank: int

    def forward(
        self,
        input_ids: Tensor,
        text_input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        is_continuous_mask: Tensor | None = None,
        whisper_features: Tensor | None = None,
        window_positions: Tensor | None = None,
        speech_features: Sequence[Tensor] = (),
        speech_mask: Sequence[Tensor] = (),
        whisper_input_feature: Sequence[Tensor] | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        cache: Any = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **others: Any,
    ) -> CausalLMOutputWithPast:
        """Run the language model; see `KimiProcessor` for the inputs.

        Args:
            input_ids: The audio stream; without `text_input_ids`, the text stream.
            text_input_ids: The text stream.
            attention_mask: Positions that are not padding, those of a cache among them.
            is_continuous_mask: Which positions are audio.
            whisper_features: Mel features of the clips' windows.
            window_positions: How many positions each window fills.
            speech_features: Of each clip, for the speech tokenizer.
            speech_mask: Their frames that are not padding.
            whisper_input_feature: In the place of the last four: features of each clip, (1,
                positions, size), as the remote code takes them; `input_ids` has the tokens then.
            position_ids: Counted from `attention_mask` by default.
            past_key_values: A cache of transformers.
            cache: The same, by its newer name.
            use_cache: Return a cache; by default as the configuration says.
            logits_to_keep: Of so many last positions; 0 for all.
            others: Switches of the output, which are not used.
        """
        if text_input_ids is None:
            input_ids, text_input_ids = torch.full_like(input_ids, self.blank), input_ids
        cache = past_key_values if cache is None else cache
        use_cache = self.config.use_cache if use_cache is None else use_cache
        n_cached = 0 if cache is None else int(cache.get_seq_length())
        n_new = input_ids.shape[1]
        if position_ids is None and attention_mask is not None:
            counted = attention_mask.long().cumsum(-1) - 1
            position_ids = counted.clamp(min=0)[:, -n_new:]
        padded = attention_mask is not None and not bool(attention_mask.all())
        heard = self._heard(
            whisper_features, window_positions, speech_features, speech_mask, whisper_input_feature
        )
        past = None
        if n_cached:
            past = [(layer.keys, layer.values) for layer in cache.layers[: len(self.model.layers)]]
        outputs = self.model(
            inputs_embeds=self._embed(input_ids, text_input_ids, is_continuous_mask, heard),
            attention_mask=attention_mask if padded else None,
            position_ids=position_ids,
            past_key_values=past,
            use_cache=use_cache,
            return_dict=True,
        )
        hidden = outputs.last_hidden_state[0]
        if use_cache:
            cache = DynamicCache() if cache is None else cache
            for number, (keys, values) in enumerate(outputs.past_key_values):
                cache.update(keys[:, :, -n_new:], values[:, :, -n_new:], number)
        kept = hidden[:, -logits_to_keep:] if logits_to_keep else hidden
        return _output(self.lm_head(kept), cache if use_cache else None)

    def _heard(
        self,
        whisper_features: Tensor | None,
        window_positions: Tensor | None,
        speech_features: Sequence[Tensor],
        speech_mask: Sequence[Tensor],
        given: Sequence[Tensor] | None,
    ) -> tuple[Tensor | None, Tensor] | None:
        """Return all clips' speech tokens, (positions,), and features, (positions, size)."""
        if given is not None:
            return None, torch.cat([clip.reshape(-1, clip.shape[-1]) for clip in given])
        if whisper_features is None:
            return None
        assert window_positions is not None
        tokens = [
            self.speech_tokenizer(features, mask)
            for features, mask in zip(speech_features, speech_mask, strict=True)
        ]
        windows = []
        for window, n_positions in zip(whisper_features, window_positions.tolist(), strict=True):
            # One window at a time, as the package: no batch rounds another way.
            states = self.whisper(window[None].to(self.whisper.conv1.weight.dtype))[0]
            windows.append(states[0, : 4 * n_positions].reshape(n_positions, -1))
        return torch.cat(tokens) + int(self.config.kimia_token_offset), torch.cat(windows)

    def _embed(
        self,
        audio_ids: Tensor,
        text_ids: Tensor,
        is_audio: Tensor | None,
        heard: tuple[Tensor | None, Tensor] | None,
    ) -> Tensor:
        """Return the sum of both streams' embeddings, as `MoonshotKimiaModel.forward` makes it."""
        embed = self.model.embed_tokens
        audio: Tensor
        if heard is None or is_audio is None:
            audio = embed(audio_ids)
        else:
            tokens, features = heard
            is_audio = is_audio.bool()
            if tokens is not None:
                audio_ids = audio_ids.masked_scatter(is_audio, tokens.to(audio_ids))
            audio = embed(audio_ids)
            features = self.model.vq_adaptor(features.to(audio.dtype))
            both = (audio[is_audio] + features) * torch.tensor(2.0, dtype=audio.dtype).sqrt()
            audio = audio.masked_scatter(is_audio[..., None], both)
        text: Tensor = embed(text_ids)
        return audio + text

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        text_input_ids: Tensor | None = None,
        is_continuous_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,  # by this name: `generate` then takes all arguments of `forward`
    ) -> dict[str, Any]:
        """Return a step's inputs: behind the prompt, the audio stream is blank."""
        if text_input_ids is None:
            audio, text = torch.full_like(input_ids, self.blank), input_ids
        else:
            n_prompt = text_input_ids.shape[1]
            new = input_ids[:, n_prompt:]
            audio = torch.cat([input_ids[:, :n_prompt], torch.full_like(new, self.blank)], 1)
            text = torch.cat([text_input_ids, new], 1)
        name = next((name for name in _CACHES if kwargs.get(name) is not None), None)
        n_cached = 0 if name is None else int(kwargs[name].get_seq_length())
        inputs: dict[str, Any] = {
            "input_ids": audio[:, n_cached:],
            "text_input_ids": text[:, n_cached:],
            "attention_mask": attention_mask,
            "use_cache": use_cache,
        }
        if name is not None:
            inputs[name] = kwargs[name]
        if not n_cached and is_continuous_mask is not None:
            more = audio.shape[1] - is_continuous_mask.shape[1]
            inputs["is_continuous_mask"] = nn.functional.pad(is_continuous_mask, (0, more))
            inputs |= {name: kwargs[name] for name in _CLIPS if name in kwargs}
        return inputs


_CLIPS = (
    *("whisper_features", "window_positions", "speech_features", "speech_mask"),
    "whisper_input_feature",
)


def _output(logits: Tensor, cache: Any) -> CausalLMOutputWithPast:
    """Return an output whose cache has the installed transformers' name for it."""
    named = "cache" if "cache" in CausalLMOutputWithPast.__annotations__ else "past_key_values"
    return CausalLMOutputWithPast(logits=logits, **{named: cache})


def to_reading(model: Any, blank: int, text_end: int) -> nn.Module:
    """Turn a loaded MoonshotKimiaForCausalLM into one that reads, in place; return it.

    Args:
        model: The model, repaired for transformers 5.
        blank: The id that fills a stream where the other one speaks.
        text_end: The id that ends an answer.
    """
    kind = type(model)
    model.__class__ = type(kind.__name__, (ReadingKimi, kind), {"__module__": kind.__module__})
    choose_any_position(model)
    model.blank, model.whisper, model.speech_tokenizer = blank, None, None
    # The head that speaks: no text depends on it.
    model.model.mimo_layers = nn.ModuleList()
    del model.mimo_output
    model.generation_config = GenerationConfig(eos_token_id=text_end, pad_token_id=blank)
    result: nn.Module = model
    return result


class KimiLoader:
    """Loads Kimi-Audio as `from_pretrained` of a class of transformers does."""

    @staticmethod
    def from_pretrained(
        pretrained: str,
        *,
        revision: str | None = None,
        dtype: Any = "auto",
        device_map: Any = None,
        attn_implementation: str | None = None,
        trust_remote_code: bool | None = None,
        cache_dir: str | None = None,
        **others: Any,
    ) -> nn.Module:
        """Load a model with its two encoders.

        Args:
            pretrained: Folder or Hub id.
            revision: Of the Hub repository.
            dtype: Of the language model and Whisper; "auto": bfloat16, as the package loads them.
                The speech tokenizer is in float32.
            device_map: One device for the whole model, or None.
            attn_implementation: Refused: the attention is the remote code's own.
            trust_remote_code: Must be true.
            cache_dir: Where files of the Hub are kept.
            others: Anything else is refused.

        Raises:
            OptionError: Remote code is not allowed, or arguments that it cannot take.
        """
        dtype = others.pop("torch_dtype", dtype)
        asked = sorted(name for name, value in others.items() if value)
        if attn_implementation is not None:
            asked.append("attn_implementation")
        refuse_arguments(pretrained, asked, "Kimi-Audio is loaded by its checkpoint's own code")
        device = one_device(pretrained, device_map, "Kimi-Audio")
        if not trust_remote_code:
            raise OptionError(f"{pretrained}: {REMOTE_CODE}")
        place: dict[str, Any] = {"revision": revision or "main", "cache_dir": cache_dir}
        dtype = torch.bfloat16 if dtype in (None, "auto") else dtype
        tokenizer: Any = load_tokenizer(pretrained, **place)
        with kernel.importable():
            plain: Any = AutoModelForCausalLM.from_pretrained(
                pretrained, dtype=dtype, trust_remote_code=True, **place
            )
        if not kernel.has_flash_attention():
            kernel.use_torch_attention(plain)
        repair_for_transformers_5(plain)
        blank, end = tokenizer.convert_tokens_to_ids([BLANK, TEXT_END])
        model: Any = to_reading(plain, blank, end)
        model.whisper = WhisperModel.from_pretrained(
            pretrained, subfolder=WHISPER, dtype=dtype, **place
        ).encoder
        model.speech_tokenizer = load_speech_tokenizer(
            speech_tokenizer_of(pretrained), cache_dir=cache_dir
        )
        width = 4 * int(model.whisper.config.d_model)
        if width != int(model.config.kimia_adaptor_input_dim):
            raise UnsupportedModelError(
                f"{pretrained}: four frames of its Whisper are {width} numbers, and the adaptor "
                f"takes {model.config.kimia_adaptor_input_dim}; take a complete checkpoint"
            )
        if device is not None:
            model.to(device)
        result: nn.Module = model.eval()
        return result


REMOTE_CODE = (
    "Kimi-Audio's model is code of its own repository, which is not allowed by default. Read that "
    "code, then pass trust_remote_code=True among the model arguments (and revision=COMMIT, so "
    "that it stays what you read)"
)
