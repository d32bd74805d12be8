"""Bursts of vibration of a demonstration: a spindle bearing whose outer race begins to pit."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np

from config.demo.noise import FloatArray
from mlops import selectors, services
from mlops.services import PlaceFields
from mlops.vibration.bearing import Geometry, Part
from production import selectors as production_selectors
from tenants.context import current_factory
from tenants.models import Membership, Role

MACHINE: Final = "Mill 1"
RATE_HZ: Final = 12_000.0
SECONDS: Final = 2.0
RPM: Final = 2_950.0
RESONANCE_HZ: Final = 3_300.0
POINT: Final = "Spindle, front bearing"
BEARING: Final = Geometry(n_elements=9, element_mm=7.94, pitch_mm=39.04)
# Days ago, height of the impacts in g, and of the unbalance: from sound to damaged.
STORY: Final = ((14.0, 0.0, 0.06), (5.0, 0.7, 0.075), (0.2, 1.6, 0.11))


def found_bursts(*, machine_ids: Mapping[str, UUID], at: datetime) -> int:
    """Post the bursts of the machine that has a sensor, unless they are there; return how many.

    They go through the service that the API calls, so they are checked and judged like others.
    """
    if MACHINE not in machine_ids or selectors.newest_bursts(machine_ids[MACHINE]):
        return 0
    machine = production_selectors.machine(machine_ids[MACHINE])
    members = Membership.objects.select_related("user").order_by("pk")
    engineer = members.filter(factory=current_factory(), role=Role.ENGINEER)[0].user
    services.save_place(
        machine=machine, at=at, by=engineer,
        fields=PlaceFields(
            point=POINT, bearing="6205", n_elements=BEARING.n_elements,
            element_mm=BEARING.element_mm, pitch_mm=BEARING.pitch_mm, machine_group="group 2",
            nominal_rpm=RPM,
        ),
    )  # fmt: skip
    raw = [
        {
            "point": POINT, "taken_at": (at - timedelta(days=days)).isoformat(), "unit": "g",
            "sample_rate_hz": RATE_HZ, "speed_rpm": RPM, "load_percent": 70.0,
            "samples": heard(impact_g=impact, unbalance_g=unbalance, seed=n).round(4).tolist(),
        }
        for n, (days, impact, unbalance) in enumerate(STORY)
    ]  # fmt: skip
    return len(services.store_bursts(machine=machine, raw=raw, now=at).stored)


def heard(*, impact_g: float, unbalance_g: float, seed: int) -> FloatArray:
    """Return (n_samples,) in g: unbalance at the shaft's turn, impacts that ring, noise."""
    n = int(RATE_HZ * SECONDS)
    time = np.arange(n) / RATE_HZ
    every_s = 1.0 / (BEARING.frequencies_hz(RPM)[Part.OUTER_RACE] * 0.99)  # elements slip a little
    impacts = np.zeros(n)
    impacts[(np.arange(0.0, SECONDS, every_s) * RATE_HZ).astype(np.int64)] = impact_g
    ringing_s = np.arange(int(0.015 * RATE_HZ)) / RATE_HZ
    ringing = np.exp(-900.0 * ringing_s) * np.sin(2 * np.pi * RESONANCE_HZ * ringing_s)
    shaft = unbalance_g * np.sin(2 * np.pi * RPM / 60.0 * time)
    noise = np.random.default_rng(seed).normal(0.0, 0.12, n)
    return np.asarray(shaft + np.convolve(impacts, ringing)[:n] + noise, dtype=np.float64)
