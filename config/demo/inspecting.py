"""What a factory of the demonstration inspects, for the chain and for the time after it."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from config.demo.machines import ACME, GLOBEX, FactorySpec
from config.demo.simulator import SimulatedMachine
from config.demo.visual import Station
from config.demo.weighing import Weighing


class Inspecting(Protocol):
    """The inspections of one factory; called within it. Nothing is done twice."""

    def prepare(self, *, now: float) -> None:
        """Write down what was made and found so far, and what a model learns from."""

    def subjects(self) -> Mapping[str, tuple[str, UUID]]:
        """Name what models are trained of: their kind and their plan."""

    def judge(self, *, now: float) -> str:
        """Have the models judge what they are for, and say in words how that turned out."""

    def tick(self, *, now: float) -> None:
        """Do what is due at a moment; called every minute or so."""


def inspecting_of(
    spec: FactorySpec, machines: Sequence[SimulatedMachine], machine_ids: Mapping[str, UUID]
) -> Inspecting:
    """Return what a factory inspects."""
    kinds: dict[str, type[Station] | type[Weighing]] = {ACME.stem: Station, GLOBEX.stem: Weighing}
    return kinds[spec.stem](machines, machine_ids)
