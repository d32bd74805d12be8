"""Boosted trees of LightGBM as one ONNX graph.

The members of an ensemble become one TreeEnsembleRegressor whose leaves are divided by the
number of members, so that scoring is one call of one file. Written out here rather than with a
converter, because the thresholds must be exact: LightGBM compares `x <= t` in float64, ONNX in
float32, and for an x that is a float32 both agree if and only if t is rounded down.

Operator: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray

INPUT, OUTPUT = "features", "target"
# Kept low so that every onnxruntime of the last years reads the file.
OPSETS = {"": 15, "ai.onnx.ml": 3}
IR_VERSION = 8


class UnsupportedTree(ValueError):
    """The booster holds a split that this translation does not know."""


@dataclass(slots=True)
class _Nodes:
    """The operator's parallel lists, one entry a node or a leaf."""

    tree: list[int] = field(default_factory=list)
    node: list[int] = field(default_factory=list)
    feature: list[int] = field(default_factory=list)
    mode: list[str] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    true: list[int] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    missing_true: list[int] = field(default_factory=list)
    leaf_tree: list[int] = field(default_factory=list)
    leaf_node: list[int] = field(default_factory=list)
    leaf_target: list[int] = field(default_factory=list)
    leaf_weight: list[float] = field(default_factory=list)

    def add(
        self, tree: int, root: Mapping[str, Any], columns: IntArray, share: float, target: int
    ) -> None:
        """Append one tree. Children are visited from a stack: trees may be deep."""
        count = 1
        waiting: list[tuple[int, Mapping[str, Any]]] = [(0, root)]
        while waiting:
            number, node = waiting.pop()
            is_leaf = "leaf_value" in node and "split_feature" not in node
            if is_leaf:
                self._append(tree, number, 0, "LEAF", 0.0, 0, 0, 0)
                self.leaf_tree.append(tree)
                self.leaf_node.append(number)
                self.leaf_target.append(target)
                self.leaf_weight.append(float(node["leaf_value"]) * share)
                continue
            if node["decision_type"] != "<=":
                raise UnsupportedTree(f"Splits by {node['decision_type']!r} are not translated.")
            left, right = count, count + 1
            count += 2
            self._append(
                tree, number, int(columns[node["split_feature"]]), "BRANCH_LEQ",
                rounded_down(float(node["threshold"])), left, right, _missing_goes_left(node),
            )  # fmt: skip
            waiting += [(left, node["left_child"]), (right, node["right_child"])]

    def _append(
        self, tree: int, node: int, feature: int, mode: str, value: float, true: int, false: int,
        missing_true: int,
    ) -> None:  # fmt: skip
        self.tree.append(tree)
        self.node.append(node)
        self.feature.append(feature)
        self.mode.append(mode)
        self.value.append(value)
        self.true.append(true)
        self.false.append(false)
        self.missing_true.append(missing_true)


def _missing_goes_left(node: Mapping[str, Any]) -> int:
    """Say where NaN goes: as learnt, or as 0 does where training never met one.

    Source: LightGBM, `NumericalDecision` in include/LightGBM/tree.h.
    """
    match node["missing_type"]:
        case "NaN":
            return int(node["default_left"])
        case "None":
            return int(float(node["threshold"]) >= 0.0)
        case other:
            raise UnsupportedTree(f"Missing values as {other!r} are not translated.")


def rounded_down(threshold: float) -> float:
    """Return the largest float32 that is not above the threshold."""
    with np.errstate(over="ignore"):
        single = np.float32(threshold)
    if float(single) > threshold:
        single = np.nextafter(single, np.float32(-np.inf))
    return float(single)


def to_onnx(
    boosters: Sequence[Any], columns: Sequence[IntArray], *, n_features: int,
    targets: Sequence[int] | None = None,
) -> bytes:  # fmt: skip
    """Return the mean of the boosters of each target as a serialised ONNX model.

    Args:
        boosters: LightGBM boosters without categorical features, each trained on its columns.
        columns: per booster, which columns of the whole matrix it was given.
        n_features: width of the whole matrix.
        targets: per booster, which output it belongs to (0, 1, ...); all to 0 where not given.

    Returns:
        Model with input `features` float32 (n, n_features) and output `target` float32
        (n, n_targets), before any link function of the objective.
    """
    nodes = _Nodes()
    tree = 0
    targets = [0] * len(boosters) if targets is None else targets
    for booster, own, target in zip(boosters, columns, targets, strict=True):
        for info in booster.dump_model()["tree_info"]:
            nodes.add(tree, info["tree_structure"], own, 1.0 / targets.count(target), target)
            tree += 1
    return _serialised(nodes, n_features=n_features, n_targets=max(targets) + 1)


def multiclass_to_onnx(booster: Any, *, n_features: int, n_classes: int) -> bytes:
    """Return one booster of several classes as a serialised ONNX model.

    Its trees stand in the order of rounds, in each round one a class.

    Returns:
        Model as of `to_onnx`, one target a class: raw scores, before softmax.
    """
    nodes = _Nodes()
    own = np.arange(n_features, dtype=np.int64)
    for tree, info in enumerate(booster.dump_model()["tree_info"]):
        nodes.add(tree, info["tree_structure"], own, 1.0, tree % n_classes)
    return _serialised(nodes, n_features=n_features, n_targets=n_classes)


def _serialised(nodes: _Nodes, *, n_features: int, n_targets: int) -> bytes:
    from onnx import TensorProto, helper

    operator = helper.make_node(
        "TreeEnsembleRegressor", [INPUT], [OUTPUT], domain="ai.onnx.ml", n_targets=n_targets,
        aggregate_function="SUM", post_transform="NONE",
        nodes_treeids=nodes.tree, nodes_nodeids=nodes.node, nodes_featureids=nodes.feature,
        nodes_modes=nodes.mode, nodes_values=nodes.value,
        nodes_truenodeids=nodes.true, nodes_falsenodeids=nodes.false,
        nodes_missing_value_tracks_true=nodes.missing_true,
        target_treeids=nodes.leaf_tree, target_nodeids=nodes.leaf_node,
        target_ids=nodes.leaf_target, target_weights=nodes.leaf_weight,
    )  # fmt: skip
    graph = helper.make_graph(
        [operator],
        "ensemble",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, n_features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, n_targets])],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(name, version) for name, version in OPSETS.items()],
        ir_version=IR_VERSION,
    )
    serialised: bytes = model.SerializeToString()
    return serialised


class OnnxModel:
    """A loaded model. One thread a call: many machines are scored side by side."""

    def __init__(self, serialised: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            serialised, sess_options=options, providers=["CPUExecutionProvider"]
        )
        self.n_features = int(self._session.get_inputs()[0].shape[1])

    def predict(self, features: FloatArray) -> FloatArray:
        """Return (n,) predictions for (n, n_features) of a model with one target."""
        return self.predict_all(features).reshape(-1)

    def predict_all(self, features: FloatArray) -> FloatArray:
        """Return (n, n_targets) predictions for (n, n_features), which may hold NaN."""
        (target,) = self._session.run([OUTPUT], {INPUT: features.astype(np.float32)})
        result: FloatArray = np.asarray(target, dtype=np.float64)
        return result
