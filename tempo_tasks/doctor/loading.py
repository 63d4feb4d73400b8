"""The model is loaded by the harness's own class; what stands in the way is one message each.

All that can be told without weights is told before they are loaded: large ones take minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_processing_base import ImageProcessingMixin

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import OptionError, TempoError
from tempo_attn.families import Family, choose_family
from tempo_attn.families.generic_checks import template_fault
from tempo_tasks.errors import (
    MissingPackageError,
    NoAudioProcessorError,
    NoAudioTemplateError,
)
from tempo_tasks.harness.arguments import (
    check_arguments,
    check_device,
    is_about_remote_code,
    model_config,
    remote_code,
)
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.quantization import refuse_llm_int8
from tempo_tasks.lab.check_settings import check_model_args
from tempo_tasks.lab.study import load_model
from tempo_tasks.tiny import EMBEDDED, WEIGHTS_DIR, is_embedded


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which model is examined.

    Attributes:
        model: Hub id or folder; None for the embedded model.
        model_args: Further arguments of the model class `lalm`.
        device: As for `lm_eval --device`; None for the best one.
        attn_scale: A configuration of `--attn-scale` to try on it: folder, file or repository.
    """

    model: str | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    attn_scale: str | None = None


def named_model(
    model: str | None, arguments: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """Return the model and its further arguments, however they were said.

    `lm_eval` is given `--model lalm --model_args pretrained=X,...`, all other commands of `tempo`
    are given `--model X`; a user comes from either.

    Raises:
        OptionError: The model is named twice.
    """
    rest = dict(arguments)
    pretrained = rest.pop("pretrained", None)
    if model == "lalm":
        return (None if pretrained is None else str(pretrained)), rest
    if pretrained is not None and model is not None:
        raise OptionError(
            f"--model {model} and pretrained={pretrained} among the model arguments name a model "
            "each; give one of them"
        )
    return (model if pretrained is None else str(pretrained)), rest


def load(request: Request) -> tuple[LALM, AttnScaleConfig | None]:
    """Load a model and read the configuration that is tried on it.

    Returns:
        The model without an edit, and the configuration, which may not fit it.

    Raises:
        OptionError: A wrong option; there is no such model; or it does not load.
        ConfigError: The configuration cannot be read.
        UnknownFamilyError: No family is registered for the model's type.
        UnsupportedModelError: Attention on audio cannot be edited in it, or the harness cannot
            make its inputs.
        RemoteCodeError: It runs code of its own, which was not allowed.
        EightBitModelError: It is in 8 bits of bitsandbytes.
        MissingPackageError: What it needs is not installed.
        NoAudioProcessorError: It has no processor that takes audio.
        NoAudioTokenError: It has no audio token, or two different ones.
        NoAudioTemplateError: It has no chat template that takes audio.
    """
    arguments = dict(request.model_args)
    if arguments.get("attn_scale") is not None:
        raise OptionError(
            "attn_scale is among the model arguments; the doctor looks at the plain model, and at "
            "a configuration by --attn-scale"
        )
    check_model_args(arguments)
    if request.device is not None:
        check_device("device", request.device)
    edit = None
    if request.attn_scale is not None:
        edit = AttnScaleConfig.from_pretrained(request.attn_scale)
    name = EMBEDDED if is_embedded(request.model) else str(request.model)
    check_arguments(request.model, arguments)
    config = model_config(request.model, arguments)
    refuse_llm_int8(config, arguments, name)
    family = choose_family(config, arguments.get("family"))
    processor = _processor(family, config, arguments, request.model, name)
    _require_template(family, processor, arguments, name)
    try:
        return load_model(name, request.device, arguments), edit
    except OptionError as error:
        if isinstance(error.__cause__, ImportError):
            raise _missing_package(name, error.__cause__) from error
        raise


def _missing_package(name: str, error: ImportError) -> MissingPackageError:
    why = " ".join(str(error).split())
    return MissingPackageError(
        f"{name} needs a package that is not installed: {why[:300]}. Install it, or the extra of "
        "tempo-lalm for this family of models (docs/families.md names them)"
    )


def _processor(
    family: Family, config: Any, arguments: Mapping[str, Any], model: str | None, name: str
) -> Any:
    """Load the processor as the model class will, and check that it takes audio."""
    # As `AudioHFLM._create_tokenizer` does: an explicit False, or transformers would ask.
    given: dict[str, Any] = {"trust_remote_code": bool(arguments.get("trust_remote_code"))}
    source = arguments.get("processor")
    if source is None:
        source = str(WEIGHTS_DIR if is_embedded(model) else model)
        given |= {k: arguments[k] for k in ("revision", "subfolder") if arguments.get(k)}
    try:
        processor = family.load_processor(source, **given)
    except TempoError:
        raise
    except ImportError as error:
        raise _missing_package(name, error) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if is_about_remote_code(error) and not given["trust_remote_code"]:
            raise remote_code(name) from error
        why = " ".join(str(error).split())
        raise NoAudioProcessorError(
            f"{name} has no processor that loads: {type(error).__name__}: {why[:300]}. Take a "
            "complete checkpoint, or name another's with --model_args processor=FOLDER_OR_ID"
        ) from error
    if not _takes_audio(processor):
        raise NoAudioProcessorError(
            f"{name} has a {type(processor).__name__} for its processor, which takes no audio; "
            "expected one with a feature extractor and a tokenizer. Take a complete checkpoint, or "
            "name another's with --model_args processor=FOLDER_OR_ID"
        )
    family.check(config, processor)
    return processor


def _takes_audio(processor: Any) -> bool:
    """Return whether a processor has a part for audio; those that are not transformers' may.

    `AutoProcessor` gives a bare tokenizer or image processor where a checkpoint has no more.
    """
    if isinstance(processor, ProcessorMixin):
        return hasattr(processor, "feature_extractor") or hasattr(processor, "audio_processor")
    return not isinstance(processor, PreTrainedTokenizerBase | ImageProcessingMixin)


def _require_template(
    family: Family, processor: Any, arguments: Mapping[str, Any], name: str
) -> None:
    """Check, before weights are loaded, that a chat with audio has its audio when rendered."""
    more = arguments.get("chat_template_args") or {}
    found = template_fault(processor, family, **(more if isinstance(more, Mapping) else {}))
    if not found:
        return
    raise NoAudioTemplateError(
        f"{name}: a chat {found}. Expected a chat template that puts the audio token where a "
        "message has a part of type audio, and its text behind it; take the instruct checkpoint, "
        "or a processor with such a template (--model_args processor=FOLDER_OR_ID)"
    )
