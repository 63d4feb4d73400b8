"""Probes: how well times, or the order of two events, can be read from states.

scikit-learn's ridge regression, whose strength is chosen by leaving single training events out,
and its perceptron with one hidden layer. What they predict is always of events that they were not
trained on; see `rows.Folds`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from tempo_attn.errors import MissingExtraError
from tempo_attn.lab.timeline.rows import EventRows
from tempo_attn.statistics import Array

PROBES = ("ridge", "mlp")
COMPONENTS = 256
"""Wider states are reduced to this many principal components of the training events."""
HIDDEN = 64
STRENGTHS = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


def require_sklearn() -> None:
    """Check that scikit-learn is installed.

    Raises:
        MissingExtraError: It is not.
    """
    if find_spec("sklearn") is None:
        raise MissingExtraError(
            "tempo timeline needs scikit-learn for its probes, which is not installed: "
            "pip install 'tempo-lalm[probe]'"
        )


class Scaled:
    """States as probes see them, standardised by each split's training events; made once a split.

    Args:
        states: (events, width).
        splits: Training and tested events, as `Folds` has them.
        seed: Seed of the principal components.
    """

    def __init__(self, states: Array, splits: Sequence[tuple[Array, Array]], seed: int) -> None:
        self.splits = list(splits)
        self._states, self._seed = states, seed
        self._made: dict[int, tuple[Array, Array]] = {}

    def of(self, number: int) -> tuple[Array, Array]:
        """Return the training and the tested events' states of a split."""
        if number not in self._made:
            train, test = (self._states[part] for part in self.splits[number])
            self._made[number] = _prepared(train, test, self._seed)
        return self._made[number]


def predict_times(states: Scaled, rows: EventRows, probe: str, seed: int) -> Array:
    """Return the times that a probe predicts, (events, targets), each by a probe not trained on it.

    Args:
        states: The states, and their splits.
        rows: The events; their times are what is learnt.
        probe: "ridge" or "mlp"; or "mean": the mean of the training times.
        seed: Seed of the perceptron.
    """
    predicted = np.full(rows.times.shape, np.nan)
    for number, (train, test) in enumerate(states.splits):
        if not test.any():
            continue
        times = rows.times[train]
        mean, spread = times.mean(0), times.std(0)
        spread[spread == 0] = 1.0
        if probe == "mean":
            predicted[test] = mean
            continue
        before, after = states.of(number)
        model = _ridge() if probe == "ridge" else _perceptron(seed)
        found = _fitted(model, before, (times - mean) / spread).predict(after)
        predicted[test] = found * spread + mean
    return predicted


def predict_order(states: Scaled, rows: EventRows, probe: str, seed: int) -> Array:
    """Return how far each pair's first event is the earlier one, (pairs,): above 0 it is.

    The probe sees the difference of the two states, and turns its answer round where they are
    swapped, so that the place in the prompt says nothing. A pair is tested where both events are
    held out together, and trained on where neither is; NaN for pairs that are never tested.

    Args:
        states: The states, and their splits.
        rows: The events and their pairs.
        probe: "ridge" or "mlp".
        seed: Seed of the perceptron.
    """
    first, second = rows.pairs.T
    sign = np.where(rows.first_is_earlier, 1.0, -1.0)
    predicted = np.full(len(sign), np.nan)
    for number, (train, test) in enumerate(states.splits):
        learnt, tested = train[first] & train[second], test[first] & test[second]
        if not tested.any() or not learnt.any():
            continue
        # Scaled by single states: both directions of a difference then have one scale.
        before, after = states.of(number)
        scaled = np.zeros((len(rows.labels), before.shape[1]))
        scaled[train], scaled[test] = before, after
        apart = scaled[first] - scaled[second]
        if probe == "ridge":  # odd by itself, without an intercept
            model = _ridge(fit_intercept=False)
            predicted[tested] = _fitted(model, apart[learnt], sign[learnt]).predict(apart[tested])
            continue
        both = np.concatenate([apart[learnt], -apart[learnt]])
        model = _fitted(_perceptron(seed), both, np.concatenate([sign[learnt], -sign[learnt]]))
        predicted[tested] = model.predict(apart[tested]) - model.predict(-apart[tested])
    return predicted


def _prepared(train: Array, test: Array, seed: int) -> tuple[Array, Array]:
    """Return standardised states, by the training events alone; wide ones reduced."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n_components = min(train.shape[1], COMPONENTS, len(train))
    steps: list[Any] = [StandardScaler()]
    if n_components < train.shape[1]:
        steps += [PCA(n_components, svd_solver="randomized", random_state=seed), StandardScaler()]
    pipeline = make_pipeline(*steps)
    return pipeline.fit_transform(train.astype(float)), pipeline.transform(test.astype(float))


def _ridge(*, fit_intercept: bool = True) -> Any:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(STRENGTHS, fit_intercept=fit_intercept)


def _perceptron(seed: int) -> Any:
    from sklearn.neural_network import MLPRegressor

    return MLPRegressor(
        hidden_layer_sizes=(HIDDEN,),
        alpha=0.1,
        learning_rate_init=3e-3,
        max_iter=20,
        random_state=seed,
    )


def _fitted(model: Any, before: Array, wanted: Array) -> Any:
    """Fit a model in one thread: sums in another order would give other digits."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1):
        # The number of steps is what keeps the perceptron from learning the training events.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(before, wanted)
