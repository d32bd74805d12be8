"""What a kind of model has to say of itself; its life is the same for all (`services`).

A kind is a small module (such as `maintenance.remaining_life`): its data set, features, target,
metrics and words. Data sets, versions, trials, promotion, watch and rollback know only this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import numpy as np

from mlops.artifacts import Bundle
from mlops.drift import Reference
from mlops.lives import FloatArray
from mlops.models import ModelVersion, Prediction
from production.models import Machine, MachineType

Progress = Callable[[float, str], None]


class NotReady(Exception):
    """The history of a machine type does not support a model yet; says what is missing."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a machine type has enough history for a model, in figures and in words."""

    is_ready: bool
    n_known: int
    n_needed: int
    message: str


@dataclass(frozen=True, slots=True)
class Case:
    """What one truth is known of: a life, a part, an alarm.

    Attributes:
        slice: the machine or product on which no new model may be worse.
        ended_at: when the truth was known.
    """

    key: str
    slice: str
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A data set as it stood at a moment.

    Attributes:
        cases: in the order of time.
        facts: what is written down of it (how many of what).
        data: the kind's own form of it.
    """

    digest: str
    cases: Sequence[Case]
    signals: Sequence[str]
    unit: str
    facts: Mapping[str, Any]
    data: Any


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model and what is known about it.

    Attributes:
        losses: case -> loss by a model that had not seen the case.
        baseline: case -> loss of what has to be beaten for the model to be worth anything.
        held_back: case -> loss, for the latest cases, by one trained on earlier ones only.
        weaknesses: sentences for the model's card.
    """

    model: Any
    metrics: Mapping[str, float]
    parameters: Mapping[str, Any]
    losses: Mapping[str, float]
    baseline: Mapping[str, float]
    held_back: Mapping[str, float] = field(default_factory=dict)
    weaknesses: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Worth:
    """Whether the first version of its kind is worth serving, and why."""

    is_given: bool
    reason: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turned:
    """How what a version said of one case turned out."""

    case_key: str
    known_at: datetime
    n_predictions: int
    loss: float
    is_right: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """What the watch looks at: what training saw, and what a machine reported of late.

    Attributes:
        recent: (n_steps, n_signals), oldest first.
    """

    signals: Sequence[str]
    reference: Reference
    recent: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))


class ModelKind(ABC):
    """One kind of model."""

    code: ClassVar[str]
    # What its intervals promise (0.8: the truth is within in four of five cases).
    level: ClassVar[float]

    @abstractmethod
    def readiness(self, machine_type: MachineType) -> Readiness:
        """Say whether a model can be trained, or what is missing."""

    @abstractmethod
    def snapshot(self, machine_type: MachineType, *, at: datetime) -> Snapshot:
        """Read the data set of a machine type as known at a moment."""

    @abstractmethod
    def train(self, snapshot: Snapshot, *, progress: Progress) -> Trained:
        """Train and judge.

        Raises:
            NotReady: the data do not support a model.
        """

    @abstractmethod
    def worth(self, version: ModelVersion) -> Worth:
        """Say whether a first version is worth serving, by what was written down of it."""

    @abstractmethod
    def pack(self, model: Any) -> Bundle:
        """Return a model as JSON, arrays and ONNX."""

    @abstractmethod
    def unpack(self, bundle: Bundle) -> Any:
        """Return a model ready to be asked.

        Raises:
            ArtifactRefused: the bundle holds something else.
        """

    @abstractmethod
    def losses(self, model: Any, snapshot: Snapshot, keys: Sequence[str]) -> dict[str, float]:
        """Return case -> loss of a stored model on cases that it has not seen."""

    @abstractmethod
    def predict(self, model: Any, machine: Machine, *, at: datetime) -> Prediction:
        """Return what the model says of a machine (not saved, its version not set)."""

    def without_model(self, machine: Machine, *, at: datetime, message: str) -> Prediction:
        """Return what can be said before there is a model: nothing, unless a kind knows better."""
        return self.unsaid(machine, at=at, state=Prediction.State.NOT_ENOUGH_DATA, message=message)

    @abstractmethod
    def unsaid(self, machine: Machine, *, at: datetime, state: str, message: str) -> Prediction:
        """Return the prediction that says why nothing can be said (not saved)."""

    @abstractmethod
    def turned(self, version: ModelVersion, machine: Machine, *, at: datetime) -> list[Turned]:
        """Return how the version's predictions of a machine turned out, as far as known."""

    @abstractmethod
    def watched(self, model: Any, machine: Machine, *, at: datetime) -> Watched | None:
        """Return what to watch for drift, or None where there is nothing to look at."""


_kinds: dict[str, ModelKind] = {}


def register(kind: ModelKind) -> None:
    """Make a kind known; done once, when the app is loaded."""
    _kinds[kind.code] = kind


def of(code: str) -> ModelKind:
    """Return a kind.

    Raises:
        KeyError: there is no such kind.
    """
    return _kinds[code]


def codes() -> list[str]:
    """Return the kinds there are, in the order in which they were made known."""
    return list(_kinds)
