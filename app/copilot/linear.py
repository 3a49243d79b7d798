"""A linear model with calibrated shares: scikit-learn's LinearSVC and one temperature."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.svm import LinearSVC

from app.copilot.metrics import Floats, Labels

SEED = 7
# Searched between these; outside of them no model is of use.
TEMPERATURES = (0.02, 20.0)


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights (features x classes), intercepts, and the temperature that calibrates them."""

    classes: Labels
    weights: Any
    intercepts: Any
    temperature: float = 1.0

    @classmethod
    def fit(cls, rows: Any, labels: Labels, *, weight: Floats, penalty: float) -> "Linear":
        model = LinearSVC(C=penalty, random_state=SEED, tol=1e-3)
        model.fit(rows, labels, sample_weight=weight)
        weights, intercepts = model.coef_.astype(np.float32), model.intercept_
        if len(weights) == 1:  # Two classes: scikit-learn keeps the second one's weights only.
            weights, intercepts = np.vstack([-weights, weights]), np.r_[-intercepts, intercepts]
        return cls(model.classes_, np.ascontiguousarray(weights.T), intercepts)

    def scores(self, rows: Any) -> Floats:
        return np.asarray(rows @ self.weights + self.intercepts, dtype=np.float64)

    def shares(self, rows: Any) -> Floats:
        return np.asarray(softmax(self.scores(rows) / self.temperature, axis=1))


def temperature_for(scores: Floats, truth: Any) -> float:
    """The temperature under which held-back scores (rows x classes) say how right they are.

    `truth` holds column numbers. The one that makes the truth likeliest.
    """

    def surprise(logarithm: float) -> float:
        logs = log_softmax(scores / np.exp(logarithm), axis=1)
        return -float(logs[np.arange(len(truth)), truth].mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(surprise, bounds=(low, high), method="bounded").x))
