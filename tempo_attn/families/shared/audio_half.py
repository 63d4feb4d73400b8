"""Processors of models that also see, without what they see with.

Their image and video processors need torchvision, and some of them Pillow or timm, which no prompt
with text and audio ever uses. So a processor of transformers' own class is built from its feature
extractor, tokenizer and chat template; in the place of the others it has None.
"""

from __future__ import annotations

import inspect
from typing import Any

import transformers
from transformers import AutoFeatureExtractor, AutoTokenizer

from tempo_attn.errors import UnsupportedModelError

_VISION = ("image_processor", "video_processor")


def young_class(name: str) -> Any:
    """Return a class of transformers that the oldest release we take has not, or not in this form.

    Raises:
        UnsupportedModelError: The installed release has none that can be used.
    """
    try:
        return getattr(transformers, name)
    except (ImportError, AttributeError) as error:
        raise UnsupportedModelError(
            f"transformers {transformers.__version__} has no {name} that can be used here "
            f"({' '.join(str(error).split())[:200]}); install a newer transformers"
        ) from error


def audio_half(processor_class: Any) -> Any:
    """Return a class like a processor's whose instances may lack what sees."""

    def check_argument_for_proper_class(self: Any, name: str, argument: Any) -> Any:
        if name in _VISION and argument is None:
            return type(None)
        return processor_class.check_argument_for_proper_class(self, name, argument)

    methods = {"check_argument_for_proper_class": check_argument_for_proper_class}
    # The class keeps its name: transformers reads from it which files belong to it.
    return type(processor_class.__name__, (processor_class,), methods)


def load_audio_half(
    processor_class: Any,
    pretrained: str,
    extractor_class: Any = AutoFeatureExtractor,
    **kwargs: Any,
) -> Any:
    """Load the audio half of a processor from a folder or repository.

    Args:
        processor_class: Transformers' class.
        pretrained: Hub id or folder.
        extractor_class: The feature extractor's class.
        kwargs: As for `AutoProcessor.from_pretrained`.
    """
    saved, _ = processor_class.get_processor_dict(pretrained, **kwargs)
    takes = inspect.signature(processor_class.__init__).parameters
    tokenizer = AutoTokenizer.from_pretrained(pretrained, **kwargs)
    given: dict[str, Any] = {
        # Its own settings, such as how many positions a clip has.
        name: saved[name]
        for name in takes
        if name in saved and not isinstance(saved[name], dict)
    }
    given |= {name: None for name in _VISION if name in takes}
    ears = "audio_processor" if "audio_processor" in takes else "feature_extractor"
    given[ears] = extractor_class.from_pretrained(pretrained, **kwargs)
    given["tokenizer"] = tokenizer
    # Older checkpoints keep the template with the tokenizer.
    given["chat_template"] = saved.get("chat_template") or tokenizer.chat_template
    return audio_half(processor_class)(**given)
