"""What a kind of model has to say of itself; its life is the same for all (`services`).

A kind is a small module (such as `maintenance.remaining_life`): its data set, features, target,
metrics and words. Data sets, versions, trials, promotion, watch and rollback know only this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import numpy as np

from mlops.artifacts import Bundle
from mlops.drift import Reference
from mlops.lives import FloatArray
from mlops.models import Finding, ModelVersion, Prediction
from production import selectors as production_selectors
from production.models import InspectionPlan, Machine, MachineType

Progress = Callable[[float, str], None]
# What a model is of.
Subject = MachineType | InspectionPlan


class NotReady(Exception):
    """The history of a subject does not support a model yet; says what is missing."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a subject has enough history for a model, in figures and in words."""

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
        details: what the kind wants to have at hand on its pages, as JSON.
    """

    model: Any
    metrics: Mapping[str, float]
    parameters: Mapping[str, Any]
    losses: Mapping[str, float]
    baseline: Mapping[str, float]
    held_back: Mapping[str, float] = field(default_factory=dict)
    weaknesses: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Worth:
    """Whether the first version of its kind is worth serving, and why."""

    is_given: bool
    reason: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turned:
    """How what a version said of one case turned out.

    Attributes:
        slice: where no other version may do worse: a machine, a class of defects.
    """

    case_key: str
    known_at: datetime
    n_predictions: int
    loss: float
    is_right: bool
    machine: Machine | None = None
    slice: str = ""


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
    # What it is of: the key of a version that names it ("machine_type_id").
    subject_field: ClassVar[str]
    # The job that asks the version in service anew after it has changed; empty: none.
    ask_again: ClassVar[str] = ""

    @abstractmethod
    def subjects(self) -> Sequence[Any]:
        """Return everything in this factory that there could be a model of."""

    @abstractmethod
    def subject(self, subject_id: UUID) -> Any:
        """Return one of them.

        Raises:
            ObjectDoesNotExist: not in this factory.
        """

    @abstractmethod
    def name_of(self, subject: Any) -> str:
        """Name a subject for people."""

    @abstractmethod
    def readiness(self, subject: Any) -> Readiness:
        """Say whether a model can be trained, or what is missing."""

    @abstractmethod
    def snapshot(self, subject: Any, *, at: datetime) -> Snapshot:
        """Read the data set of a subject as known at a moment."""

    @abstractmethod
    def train(self, snapshot: Snapshot, *, progress: Progress) -> Trained:
        """Train and judge.

        Raises:
            NotReady: the data do not support a model.
        """

    @abstractmethod
    def worth(self, version: ModelVersion) -> Worth:
        """Say whether a first version is worth serving, by what was written down of it."""

    def proof(self, version: ModelVersion, champion: ModelVersion) -> Worth | None:
        """Return what settles whether a later version serves before any comparison, or None."""
        return None

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
    def outcomes(self, version: ModelVersion, *, at: datetime) -> list[Turned]:
        """Return how what the version said turned out, as far as known and not yet kept."""

    def findings(self, version: ModelVersion, *, at: datetime) -> list[Finding]:
        """Return what is wrong with what the version in service is fed or says (not saved)."""
        return []


class MachineKind(ModelKind):
    """A kind of model that is of a machine type and is asked about its machines."""

    subject_field: ClassVar[str] = "machine_type_id"
    ask_again: ClassVar[str] = "mlops.score"

    def subjects(self) -> Sequence[MachineType]:
        return list(production_selectors.machine_types())

    def subject(self, subject_id: UUID) -> MachineType:
        return MachineType.objects.get(pk=subject_id)

    def name_of(self, subject: MachineType) -> str:
        return subject.name

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

    def outcomes(self, version: ModelVersion, *, at: datetime) -> list[Turned]:
        return [
            replace(turned, machine=machine, slice=str(machine.pk))
            for machine in self.machines(version)
            for turned in self.turned(version, machine, at=at)
        ]

    def machines(self, version: ModelVersion) -> list[Machine]:
        """Return the machines that a version is asked about."""
        rows = production_selectors.machines()
        return list(rows.filter(machine_type_id=version.machine_type_id))


class PlanKind(ModelKind):
    """A kind of model that is of an inspection plan."""

    subject_field: ClassVar[str] = "inspection_plan_id"

    def subjects(self) -> Sequence[InspectionPlan]:
        return production_selectors.plans_in_force()

    def subject(self, subject_id: UUID) -> InspectionPlan:
        """Return the first version of a plan: models last beyond its revisions."""
        return production_selectors.first_version(subject_id)

    def name_of(self, subject: InspectionPlan) -> str:
        return f"{subject.product.name}: {subject.name}"


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


def of_machines(code: str) -> MachineKind:
    """Return a kind that is asked about machines.

    Raises:
        KeyError: there is no such kind.
    """
    kind = _kinds[code]
    if not isinstance(kind, MachineKind):
        raise KeyError(code)
    return kind


def subject_of(version: ModelVersion) -> Any:
    """Return what a version is of."""
    return of(version.kind).subject(version.subject_id)


def codes() -> list[str]:
    """Return the kinds there are, in the order in which they were made known."""
    return list(_kinds)


def codes_of_machines() -> list[str]:
    """Return the kinds that are asked about machines."""
    return [code for code, kind in _kinds.items() if isinstance(kind, MachineKind)]


def codes_of_plans() -> list[str]:
    """Return the kinds that are of inspection plans."""
    return [code for code, kind in _kinds.items() if isinstance(kind, PlanKind)]
