import threading

import cv2
import numpy as np
import pytest
from scipy.signal import correlate2d
from sklearn.datasets import load_sample_image

from mlops.vision import backbone
from mlops.vision.backbone import BATCH_NORM_EPS, Weights, WeightsMissing

PALACES = {663, 698, 442, 483}  # monastery, palace, bell cote, castle
DAISY, GREEN_APPLE, LEMON = 985, 948, 951


@pytest.fixture(scope="module")
def network():
    return backbone.shared()


@pytest.fixture(scope="module")
def weights():
    return Weights()


def classes(network, weights, pixels, n=5):
    """Return ImageNet's classes by the layer that the product leaves out, likeliest first."""
    scores = weights["_fc.weight"] @ network.features(pixels).embedding + weights["_fc.bias"]
    return np.argsort(-scores)[:n].tolist()


def photo(name):
    pixels = load_sample_image(name)
    height, width = pixels.shape[:2]
    left, top = (width - 400) // 2, (height - 400) // 2
    return backbone.fitted(pixels[top : top + 400, left : left + 400], height=224, width=224)


def lit_ball(colour):
    """Draw a ball lit from the upper left on grey."""
    y, x = np.mgrid[:224, :224]
    inside = (x - 112) ** 2 + (y - 112) ** 2 < 70**2
    light = np.clip(1.1 - np.hypot(x - 85, y - 85) / 150, 0.2, 1.0)[..., None]
    ball = np.where(inside[..., None], light * np.array(colour), 200.0)
    return cv2.GaussianBlur(ball.clip(0, 255).astype(np.uint8), (0, 0), 1)


def test_photographs_are_known_for_what_they_show(network, weights):
    assert classes(network, weights, photo("china.jpg"), 1)[0] in PALACES
    assert classes(network, weights, photo("flower.jpg"), 1) == [DAISY]


@pytest.mark.parametrize(
    ("colour", "fruit"), [((120, 180, 40), GREEN_APPLE), ((230, 200, 30), LEMON)]
)
def test_red_comes_first(network, weights, colour, fruit):
    ball = lit_ball(colour)

    assert fruit in classes(network, weights, ball)
    assert fruit not in classes(network, weights, ball[..., ::-1])


def same_upper(plane, kernel, stride):
    """Filter as TensorFlow's SAME does: what does not halve evenly is padded at the end."""
    n, k = plane.shape[0], kernel.shape[0]
    total = max((-(-n // stride) - 1) * stride + k - n, 0)
    padded = np.pad(plane, (total // 2, total - total // 2))
    return correlate2d(padded, kernel, mode="valid")[::stride, ::stride]


def normed(weights, name, data):
    scale, shift, mean, variance = (
        weights[f"{name}.{part}"][:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (data - mean) / np.sqrt(variance + BATCH_NORM_EPS) * scale + shift


def block(weights, number, data, stride):
    """Pass an inverted residual with its batch norms apart."""
    own = f"_blocks.{number}"
    if number:
        kernel = weights[f"{own}._expand_conv.weight"][:, :, 0, 0]
        data = np.clip(normed(weights, f"{own}._bn0", np.tensordot(kernel, data, 1)), 0, 6)
    kernel = weights[f"{own}._depthwise_conv.weight"][:, 0]
    data = np.stack([same_upper(*pair, stride) for pair in zip(data, kernel, strict=True)])
    data = np.clip(normed(weights, f"{own}._bn1", data), 0, 6)
    kernel = weights[f"{own}._project_conv.weight"][:, :, 0, 0]
    return normed(weights, f"{own}._bn2", np.tensordot(kernel, data, 1))


@pytest.mark.parametrize("side", [32, 37])
def test_the_first_layers_are_those_of_the_definition(network, weights, side):
    pixels = np.random.default_rng(5).integers(0, 256, (side, side, 3), dtype=np.uint8)
    data = (pixels.transpose(2, 0, 1) - 127.0) / 128.0
    stem = [
        sum(same_upper(plane, part, 2) for plane, part in zip(data, kernel, strict=True))
        for kernel in weights["_conv_stem.weight"]
    ]
    data = np.clip(normed(weights, "_bn0", np.stack(stem)), 0, 6)

    data = block(weights, 1, block(weights, 0, data, 1), 2)
    data = data + block(weights, 2, data, 1)

    found = network.features(pixels).maps[4]
    np.testing.assert_allclose(found, data.transpose(1, 2, 0), atol=2e-3)


def test_maps_grow_with_the_picture(network):
    features = network.features(np.zeros((256, 330, 3), np.uint8))

    assert features.embedding.shape == (1280,)
    assert {stride: one.shape for stride, one in features.maps.items()} == {
        4: (64, 83, 24), 8: (32, 42, 40), 16: (16, 21, 112), 32: (8, 11, 320),
    }  # fmt: skip


def test_a_process_has_one_network():
    found = []
    threads = [threading.Thread(target=lambda: found.append(backbone.shared())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4
    assert len(set(map(id, found))) == 1


def test_another_file_of_weights_is_refused(monkeypatch):
    monkeypatch.setattr(backbone, "SHA256", "0" * 64)

    with pytest.raises(WeightsMissing, match="not the file"):
        Weights()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(backbone, "PACKAGE", "no_such_package")

    with pytest.raises(WeightsMissing, match="no_such_package"):
        Weights()
