"""A model of quality as one bundle, and back: the models of its stages side by side."""

from __future__ import annotations

from typing import Any

from mlops.artifacts import Array, ArtifactRefused, Bundle
from mlops.quality.intervals import Neighbours
from mlops.quality.model import Past, QualityModel, StageModel
from mlops.quality.parts import Limits, Plan
from mlops.tabular import packing as tabular_packing
from mlops.tabular.table import Column, Table

FORM = "quality-1"


def pack(model: QualityModel) -> Bundle:
    """Return the model as JSON, arrays and the ONNX graphs of its stages one after another."""
    manifests, onnx = [], []
    arrays: dict[str, Array] = {}
    for number, stage in enumerate(model.stages):
        inner = tabular_packing.pack(stage.model)
        onnx.append(inner.onnx)
        manifests.append({
            "n_stages": stage.n_stages, "onnx_bytes": len(inner.onnx), "model": inner.manifest,
            "past": [{"name": c.name, "levels": list(c.levels)} for c in stage.past.table.columns],
        })  # fmt: skip
        own: dict[str, Array] = {f"model/{name}": a for name, a in inner.arrays.items()}
        own |= {
            "held_back/log_odds": stage.neighbours.log_odds,
            "held_back/codes": stage.neighbours.codes,
            "held_back/groups": stage.neighbours.groups,
            "past/values": stage.past.table.values, "past/codes": stage.past.codes,
            "past/order": stage.past.order, "past/groups": stage.past.groups,
        }  # fmt: skip
        arrays |= {f"{number}/{name}": array for name, array in own.items()}
    manifest = {
        "form": FORM, "classes": list(model.classes), "has_good": model.has_good,
        "plan": _plan(model.plan), "stages": manifests,
    }  # fmt: skip
    return Bundle(manifest, arrays, b"".join(onnx))


def unpack(bundle: Bundle) -> QualityModel:
    """Return the model of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by a newer version.
    """
    head = bundle.manifest
    if head.get("form") != FORM:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        stages, place = [], 0
        for number, told in enumerate(head["stages"]):
            end = place + int(told["onnx_bytes"])
            stages.append(_stage(told, _own(bundle, number), bundle.onnx[place:end]))
            place = end
        return QualityModel(
            _plan_of(head["plan"]), tuple(head["classes"]), bool(head["has_good"]), tuple(stages)
        )
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that scoring needs.") from error


def _own(bundle: Bundle, number: int) -> dict[str, Array]:
    head = f"{number}/"
    return {n.removeprefix(head): a for n, a in bundle.arrays.items() if n.startswith(head)}


def _stage(told: Any, arrays: dict[str, Array], onnx: bytes) -> StageModel:
    head = "model/"
    inner = {n.removeprefix(head): a for n, a in arrays.items() if n.startswith(head)}
    columns = tuple(Column(c["name"], tuple(c["levels"])) for c in told["past"])
    return StageModel(
        int(told["n_stages"]),
        tabular_packing.unpack(Bundle(told["model"], inner, onnx)),
        Neighbours(
            arrays["held_back/log_odds"], arrays["held_back/codes"], arrays["held_back/groups"]
        ),
        Past(
            Table(columns, arrays["past/values"]), arrays["past/codes"], arrays["past/order"],
            arrays["past/groups"],
        ),
    )  # fmt: skip


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "stages": list(plan.stages),
        "signals": {stage: list(names) for stage, names in plan.signals.items()},
        "limits": [[*key, limits.low, limits.high] for key, limits in plan.limits.items()],
        "numbers": list(plan.numbers),
        "categories": [[name, list(levels)] for name, levels in plan.categories.items()],
    }


def _plan_of(told: Any) -> Plan:
    return Plan(
        tuple(told["stages"]),
        {stage: tuple(names) for stage, names in told["signals"].items()},
        {(stage, signal): Limits(low, high) for stage, signal, low, high in told["limits"]},
        tuple(told["numbers"]),
        {name: tuple(levels) for name, levels in told["categories"]},
    )
