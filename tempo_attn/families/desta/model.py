"""DeSTA25AudioModel of the package `desta`, so that it takes prepared inputs in the harness.

The package is written for transformers 4 and is called as it is, with two exceptions: encoder
layers of transformers 5 return a tensor where it takes the first of a tuple; and `generate` takes
prepared inputs in the place of messages and files.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.families.shared.extras import require_extra
from tempo_attn.families.shared.own_loading import one_device, refuse_arguments

COMMIT = "5503dfcb8c07ddc608ef705542f0f9b94cc99de8"
"""The package's commit that was compared with this file; see docs/families.md."""
_PACKAGE = f"git+https://github.com/kehanlu/DeSTA2.5-Audio@{COMMIT}"


def require_desta(model: str) -> None:
    """Check that the package `desta` is installed.

    Raises:
        MissingExtraError: It is not.
    """
    # Its own requirements ask for a huggingface_hub that transformers 5 does not take.
    also = f'pip install --no-deps "{_PACKAGE}"'
    require_extra("desta", "desta", f"{model} (DeSTA2.5)", also=also)


class PreparedInputs:
    """Mixed into DeSTA25AudioModel: prepared inputs in `forward` and `generate`, and plain text."""

    llm_model: Any

    def _prepare_inputs_for_llm(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        batch_features: Tensor | None = None,
        batch_transcription_ids: Sequence[Tensor] = (),
        batch_start_positions: Sequence[tuple[int, int]] = (),
    ) -> Tensor:
        if not len(batch_start_positions):
            embeds: Tensor = self.llm_model.get_input_embeddings()(input_ids)
            return embeds
        prepared: Tensor = super()._prepare_inputs_for_llm(  # type: ignore[misc]
            input_ids=input_ids,
            attention_mask=attention_mask,
            batch_features=batch_features,
            batch_transcription_ids=batch_transcription_ids,
            batch_start_positions=batch_start_positions,
        )
        return prepared

    def _embed(
        self, input_ids: Tensor, attention_mask: Tensor | None, audio: dict[str, Any]
    ) -> dict[str, Tensor]:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        # By keywords, from the instance: an edit of attention reads the positions here.
        embeds = self._prepare_inputs_for_llm(input_ids=input_ids, attention_mask=mask, **audio)
        return {"inputs_embeds": embeds, "attention_mask": mask}

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        batch_features: Tensor | None = None,
        batch_transcription_ids: Sequence[Tensor] = (),
        batch_start_positions: Sequence[tuple[int, int]] = (),
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
    ) -> Any:
        """Run the language model on text and audio; see `DestaProcessor` for the inputs."""
        audio = {
            "batch_features": batch_features,
            "batch_transcription_ids": batch_transcription_ids,
            "batch_start_positions": batch_start_positions,
        }
        embedded = self._embed(input_ids, attention_mask, audio)
        # As `generate` counts: padding on the left moves no position, so in 16 bits it rounds none.
        counted = embedded["attention_mask"].long().cumsum(-1) - 1
        return self.llm_model(
            **embedded,
            position_ids=counted.clamp(min=0),
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
        )

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        batch_features: Tensor | None = None,
        batch_transcription_ids: Sequence[Tensor] = (),
        batch_start_positions: Sequence[tuple[int, int]] = (),
        **kwargs: Any,
    ) -> Any:
        """Generate; returned are the prompts' ids, too, as the language model's own does."""
        audio = {
            "batch_features": batch_features,
            "batch_transcription_ids": batch_transcription_ids,
            "batch_start_positions": batch_start_positions,
        }
        embedded = self._embed(input_ids, attention_mask, audio)
        return self.llm_model.generate(input_ids=input_ids, **embedded, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return all weights; the package returns those that were trained."""
        every: Any = nn.Module.state_dict
        return every(self, *args, **kwargs)


def prepared(model_class: type) -> type:
    """Return DeSTA25AudioModel, or a class of its layout, that takes prepared inputs."""
    return type(model_class.__name__, (PreparedInputs, model_class), {})


def give_tuples(perception: Any) -> None:
    """Let a model's perception find the tuples that encoder layers of transformers 4 return."""
    forward, layers = perception.forward_whisper, perception.whisper.model.encoder.layers

    def in_a_tuple(_module: Any, _args: Any, output: Any) -> Any:
        return output if isinstance(output, tuple) else (output,)

    def forward_with_tuples(*args: Any, **kwargs: Any) -> Any:
        # Only inside: Whisper's own forward, which transcribes, takes what its layers return.
        hooks = [layer.register_forward_hook(in_a_tuple) for layer in layers]
        try:
            return forward(*args, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()

    perception.forward_whisper = forward_with_tuples


class DestaLoader:
    """Loads DeSTA2.5 as `from_pretrained` of a class of transformers does."""

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
        """Load a model.

        Args:
            pretrained: Folder or Hub id.
            revision: Of the Hub repository.
            dtype: "auto": the language model in bfloat16 and the rest in float32, as the package
                loads them. Else all weights are cast.
            device_map: One device for the whole model, or None.
            attn_implementation: Of the language model.
            trust_remote_code: Not asked for: the package is installed.
            cache_dir: Where files of the Hub are kept.
            others: Anything else is refused.

        Raises:
            OptionError: Arguments that the package cannot take, such as quantization.
            MissingExtraError: The package is not installed.
        """
        dtype = others.pop("torch_dtype", dtype)
        asked = sorted(name for name, value in others.items() if value)
        refuse_arguments(pretrained, asked, "DeSTA2.5 is loaded by its own package")
        device = one_device(pretrained, device_map, "DeSTA2.5")
        require_desta(pretrained)
        from desta import DeSTA25AudioModel  # type: ignore[import-not-found,unused-ignore]

        # Else its configuration is compared with a default one, whose parts would be fetched.
        DeSTA25AudioModel.config_class.has_no_defaults_at_init = True
        with redirect_stdout(sys.stderr):  # it prints, and the output may be JSON
            loaded: Any = prepared(DeSTA25AudioModel)
            model = loaded.from_pretrained(_folder(pretrained, revision, cache_dir))
        give_tuples(model.perception)
        model.config._name_or_path = model.name_or_path = str(pretrained)
        model.generation_config = model.llm_model.generation_config
        if attn_implementation is not None:
            model.llm_model.set_attn_implementation(attn_implementation)
        if dtype not in (None, "auto"):
            model.to(dtype)
        if device is not None:
            model.to(device)
        result: nn.Module = model.eval()
        return result


def _folder(pretrained: str, revision: str | None, cache_dir: str | None) -> str:
    """Return where a checkpoint's files are; the package knows no revisions."""
    if Path(pretrained).is_dir():
        return str(pretrained)
    from huggingface_hub import snapshot_download

    return snapshot_download(
        pretrained,
        revision=revision,
        cache_dir=cache_dir,
        allow_patterns=["config.json", "model.safetensors"],
    )
