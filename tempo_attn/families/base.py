"""What differs between families of audio language models.

A family is one small class with two parts. The model part says where audio, text and attention are
inside the model; it is all that the attention wrapper needs. The processor part says how audio gets
into a prompt; the harness needs it too. The defaults are the common layout of transformers: an
audio token that the processor repeats, `get_decoder()`, `layers[i].self_attn`. A family overrides
what is different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import AutoModelForMultimodalLM, AutoProcessor

from tempo_attn.attention.redirect_attention import redirect_by_config
from tempo_attn.errors import NoAudioTokenError, UnsupportedModelError
from tempo_attn.families.shared.processors import (
    Wave,
    feature_extractor,
    message_parts,
    require_audio_token,
    where,
)

Message = Mapping[str, Any]
Undo = Callable[[], None]


class Family:
    """One family of models; stateless, so one instance serves every model of it.

    Attributes:
        name: The family's name, as users write it.
        model_types: The `model_type` values of its configurations.
        auto_class: The transformers Auto class that loads its models.
        key_spans: The sets of key positions that its prompts have.
        text_prompts: Whether a rendered chat is text that the tokenizer encodes. Where it is not,
            see `tempo_attn.families.shared.chats.ChatFamily`.
        pads_audio_alike: Whether what a clip becomes is the same beside longer ones in a batch;
            where it is not, batches are of one prompt.
        audio_in_time_order: Whether a clip's audio positions follow its time.
    """

    name: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    auto_class: ClassVar[Any] = AutoModelForMultimodalLM
    key_spans: ClassVar[tuple[str, ...]] = ("audio",)
    text_prompts: ClassVar[bool] = True
    pads_audio_alike: ClassVar[bool] = True
    audio_in_time_order: ClassVar[bool] = True

    # ------------------------------------------------------------------ the model

    def model_class(self, config: Any) -> Any:
        """Return the class whose `from_pretrained` loads a model of this configuration."""
        return self.auto_class

    def check_model(self, model: nn.Module) -> None:
        """Check that attention on audio can be edited in this model.

        Raises:
            UnsupportedModelError: It cannot, with the reason.
        """

    def prepare(self, model: nn.Module, **kwargs: Any) -> None:
        """Make a loaded model ready for the batches that `process` makes; by default it is.

        Args:
            model: The model; a second call for the same one changes nothing.
            kwargs: Where it was loaded from, as for `from_pretrained`: `revision` and others.
        """

    def audio_token_id(self, config: Any) -> int:
        """Return the id that fills audio positions.

        Raises:
            NoAudioTokenError: The configuration names none.
        """
        token_id = getattr(config, "audio_token_id", None)
        if token_id is None:
            raise NoAudioTokenError(
                f"{where(config)}: the configuration of a {self.name} model needs `audio_token_id`;"
                " it has none, so no position of a prompt is known to be audio"
            )
        return int(token_id)

    def audio_mask(self, config: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Return which positions are audio, (batch, tokens) bool."""
        ids: torch.Tensor = inputs["input_ids"]
        return torch.eq(ids, self.audio_token_id(config))

    def spans(self, config: Any, inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Return each set of `key_spans` as a (batch, tokens) bool mask.

        Args:
            config: The model's configuration.
            inputs: The arguments of a forward call, by name.
        """
        return {"audio": self.audio_mask(config, inputs)}

    def token_ids(self, inputs: Mapping[str, Any]) -> torch.Tensor | None:
        """Return the (batch, tokens) ids that decode to the prompt's text, if there are any."""
        return inputs.get("input_ids")

    def check_inputs(self, config: Any, inputs: Mapping[str, Any]) -> None:
        """Check that positions in `inputs` are the positions that the decoder will see.

        Raises:
            UnsupportedInputError: They are not: the model itself expands the audio.
        """

    def decoder(self, model: nn.Module) -> nn.Module:
        """Return the text decoder, whose `layers` hold the attention modules."""
        decoder = model.get_decoder()  # type: ignore[operator]
        assert isinstance(decoder, nn.Module)
        # Some families keep a causal LM, not its bare decoder, as their language model.
        inner = getattr(decoder, "model", None)
        return inner if isinstance(inner, nn.Module) and hasattr(inner, "layers") else decoder

    def attentions(self, model: nn.Module) -> list[nn.Module | None]:
        """Return the attention module of every decoder layer; None where a layer has none.

        Raises:
            UnsupportedModelError: The decoder has no list of layers.
        """
        layers = getattr(self.decoder(model), "layers", None)
        if not isinstance(layers, nn.ModuleList):
            raise UnsupportedModelError(
                f"the decoder {type(self.decoder(model)).__name__} has no list `layers`, so its "
                "attention modules cannot be found"
            )
        return [getattr(layer, "self_attn", None) for layer in layers]

    def redirect(self, attention: nn.Module) -> Undo:
        """Send a module's attention through `edited_attention.attend`; return how to undo it."""
        return redirect_by_config(attention)

    def watch(self, model: nn.Module, tell: Callable[[Mapping[str, Any]], None]) -> Undo | None:
        """Where the decoder is called with embeddings only: tell what the prompt was.

        Args:
            model: The model.
            tell: To be called before each prefill with the mapping that `spans` and `token_ids`
                understand (and `attention_mask`).

        Returns:
            What undoes it, or None where forward calls carry token ids (the default).
        """
        return None

    def feature_dtype(self, model: Any) -> torch.dtype:
        """Return the floating-point type that the model takes features in."""
        dtype: torch.dtype = model.dtype
        return dtype

    # ------------------------------------------------------------------ the processor

    def load_processor(self, pretrained: str, **kwargs: Any) -> Any:
        """Load the processor; keywords go to `AutoProcessor.from_pretrained`."""
        return AutoProcessor.from_pretrained(pretrained, **kwargs)

    def check(self, config: Any, processor: Any) -> None:
        """Check that configuration and processor can take audio.

        Raises:
            NoAudioTokenError: The checkpoint has no audio token, or two different ones.
        """
        require_audio_token(
            config, processor, self.audio_token_id(config), self.audio_marker(processor), self.name
        )

    def sampling_rate(self, processor: Any) -> int:
        """Return the sampling rate that the processor expects, in Hz."""
        return int(feature_extractor(processor).sampling_rate)

    def max_seconds(self, processor: Any) -> float:
        """Return the longest audio that the model hears in one go, in seconds."""
        extractor = feature_extractor(processor)
        return float(extractor.n_samples / extractor.sampling_rate)

    def min_seconds(self, processor: Any) -> float:
        """Return the shortest audio whose positions can be told, in seconds."""
        return 0.1

    def chat(
        self,
        processor: Any,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        **template_args: Any,
    ) -> str:
        """Render a chat to text with the family's audio markers, one for each `<audio>`.

        Args:
            processor: The family's processor.
            messages: `{"role": ..., "content": str}`; `<audio>` in a content marks audio.
            add_generation_prompt: End where the assistant's answer begins.
            template_args: Further variables of the template, such as `enable_thinking`.
        """
        structured = [{**m, "content": message_parts(str(m["content"]))} for m in messages]
        rendered = processor.apply_chat_template(
            structured,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            tokenize=False,
            **template_args,
        )
        return str(rendered)

    def audio_marker(self, processor: Any) -> str:
        """Return the token that stands for audio in a rendered prompt."""
        return str(getattr(processor, "audio_token", None))

    def text_before_answer(self, prompt: str) -> str:
        """Return the text that the answer's first token may grow together with.

        Tokens are merged across whatever stands before the answer: by default all of the rendered
        prompt.
        """
        return prompt

    def process(self, processor: Any, prompts: Sequence[str], waves: Sequence[Wave]) -> Any:
        """Turn rendered prompts and their waveforms into model inputs, padded on the left.

        Args:
            processor: The family's processor.
            prompts: One rendered chat for each batch row.
            waves: Mono waveforms at `sampling_rate`, for all markers of all prompts in order.

        Returns:
            A BatchFeature with `input_ids` and `attention_mask`, (batch, tokens), and features.
        """
        # The tokenizer's side, not the processor's: that one would flip the audio padding too.
        processor.tokenizer.padding_side = "left"
        # The keyword is `audio`; a misspelt one is silently ignored.
        return processor(
            text=list(prompts),
            audio=list(waves) or None,
            sampling_rate=self.sampling_rate(processor),
            return_tensors="pt",
            padding=True,
        )

    def append(self, inputs: Any, ids: torch.Tensor, real: torch.Tensor) -> Any:
        """Return inputs of the same prompts followed by text tokens, to be scored in one forward.

        Args:
            inputs: What `process` returned.
            ids: The tokens, (batch, more).
            real: Which of them are tokens and not padding, (batch, more).
        """
        longer = {"input_ids": ids, "attention_mask": real}
        for name in ("token_type_ids", "mm_token_type_ids"):  # 0 is text
            if name in inputs:
                longer[name] = torch.zeros_like(ids)
        return {
            name: torch.cat([value, longer[name].to(value.dtype)], 1) if name in longer else value
            for name, value in inputs.items()
        }

    def n_audio_tokens(self, processor: Any, n_samples: int) -> int:
        """Return how many decoder positions a waveform of `n_samples` fills."""
        raise NotImplementedError(
            f"{self.name}: the number of audio positions of a waveform is not known to tempo, so "
            "the harness cannot check that audio arrives; the attention wrapper works without it"
        )
