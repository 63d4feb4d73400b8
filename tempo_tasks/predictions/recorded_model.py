"""A model for the harness that says what was recorded elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from tempo_tasks.predictions.read_predictions import Prediction
from tempo_tasks.questions.questions import LETTERS


class RecordedModel(LM):  # type: ignore[misc]
    """Answers each request from recorded predictions; hears nothing and runs nothing.

    Args:
        answers: The prediction of each item, by the task's name and the item's id.
        first_line: Whether a text ends where the tasks end an answer, before its first line break.
    """

    MULTIMODAL = True  # the harness asks audio tasks of no other model

    def __init__(
        self, answers: Mapping[tuple[str, str], Prediction], *, first_line: bool = False
    ) -> None:
        super().__init__()
        self._answers = answers
        self._first_line = first_line

    def generate_until(self, requests: list[Instance], **_: Any) -> list[str]:
        """Return the recorded texts."""
        return [self._text(self._prediction(request)) for request in requests]

    def loglikelihood(self, requests: list[Instance], **_: Any) -> list[tuple[float, bool]]:
        """Return the logarithm of the recorded probability of each request's letter."""
        found = []
        for request in requests:
            probabilities = self._prediction(request).probabilities
            assert probabilities is not None
            share = probabilities[LETTERS.index(request.args[1].strip())]
            best = share == max(probabilities)
            found.append((math.log(share) if share else -math.inf, best))
        return found

    def loglikelihood_rolling(self, requests: list[Instance], **_: Any) -> list[float]:
        """Refuse: no task of ours asks for it."""
        raise NotImplementedError("recorded answers have no perplexity")

    def _prediction(self, request: Instance) -> Prediction:
        return self._answers[request.task_name, request.doc["id"]]

    def _text(self, prediction: Prediction) -> str:
        assert prediction.text is not None
        return prediction.text.split("\n", 1)[0] if self._first_line else prediction.text
