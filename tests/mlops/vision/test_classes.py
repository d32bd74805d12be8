import numpy as np
import pytest

from mlops.artifacts import ArtifactRefused, Bundle, Identity, open_sealed, seal
from mlops.vision import classes
from mlops.vision.backbone import Features
from mlops.vision.classes import NotEnoughLabels
from tests.mlops.vision.surfaces import KINDS, SIDE, surface

KNOWN = KINDS[:3]


@pytest.fixture(scope="module")
def training() -> classes.Training:
    """Five surfaces of each of three kinds."""
    labels = [kind for kind in KNOWN for _ in range(5)]
    return classes.train(
        [classes.views(surface(kind, seed)) for seed, kind in enumerate(labels)], labels
    )


def described(figures: np.ndarray) -> Features:
    """Return features whose means are the figures."""
    maps, start = {}, 0
    for stride, size in ((16, 14), (32, 7)):
        end = start + {16: 112, 32: 320}[stride]
        maps[stride] = np.tile(figures[start:end].astype(np.float32), (size, size, 1))
        start = end
    return Features(np.zeros(1280, dtype=np.float32), maps)


@pytest.mark.slow
def test_five_of_a_kind_are_enough_for_surfaces(training):
    for kind in KNOWN:
        judged = [training.model.judge(classes.seen(surface(kind, 100 + i))) for i in range(3)]

        assert [one.classes[0][0] for one in judged] == [kind] * 3
        assert all(sum(p for _label, p in one.classes) == pytest.approx(1) for one in judged)


@pytest.mark.slow
def test_what_was_never_named_is_unknown(training):
    judged = [training.model.judge(classes.seen(surface("woven", i))) for i in range(3)]

    assert not any(one.is_known for one in judged)


@pytest.mark.slow
def test_the_part_that_speaks_is_where_the_class_is_seen(training):
    half = surface("plain", 7)
    half[:, SIDE // 2 :] = surface("brushed", 7)[:, SIDE // 2 :]

    judged = training.model.judge(classes.seen(half))

    own = judged.evidence if judged.classes[0][0] == "brushed" else -judged.evidence
    assert own[:, 8:].mean() > own[:, :6].mean()
    top, bottom, left, right = judged.speaks
    assert 0 <= top < bottom <= 14
    assert 0 <= left < right <= 14


@pytest.mark.slow
def test_the_kept_model_judges_alike(training):
    identity = Identity("acme", "vision", "surface", 1)
    sealed = seal(classes.pack(training.model), identity=identity, key="k")
    opened = classes.unpack(open_sealed(sealed, identity=identity, key="k"))
    features = classes.seen(surface("grainy", 50))

    judged = [model.judge(features) for model in (training.model, opened)]

    for (label, probability), (kept_label, kept) in zip(
        judged[0].classes, judged[1].classes, strict=True
    ):
        assert label == kept_label
        assert kept == pytest.approx(probability, abs=1e-9)
    assert judged[1].likeness == pytest.approx(judged[0].likeness)


def separated(n: int, distance: float, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Return n pictures a class, (n, 4, 432): two normal clouds that far apart."""
    rng = np.random.default_rng(seed)
    labels = ["a"] * n + ["b"] * n
    figures = rng.normal(0, 1, (2 * n, 4, classes.N_FIGURES))
    figures[n:, :, 0] += distance
    return figures, labels


def test_discriminants_by_hand():
    # Two classes on one line, ones of spread about 0 and 4: equally likely at 2.
    figures = np.array([[-1.0], [1.0], [3.0], [5.0]])

    parts = classes.discriminants(figures, np.array([0, 0, 1, 1]), n_classes=2)

    for figure, sign in ((2.0, 0), (1.9, 1), (2.1, -1)):
        low, high = parts.scores(np.array([[figure]]))[0]
        assert np.sign(round(low - high, 9)) == sign


def test_without_a_difference_nothing_is_sure():
    figures, labels = separated(20, distance=0.0)

    training = classes.train(list(figures), labels)

    assert np.abs(training.probability - 0.5).mean() < 0.2


def test_sure_of_what_is_apart():
    figures, labels = separated(20, distance=30.0)

    training = classes.train(list(figures), labels)

    right = training.probability[np.arange(40), [0] * 20 + [1] * 20]
    assert right.min() > 0.9


def test_a_few_pictures_make_nobody_certain():
    figures, labels = separated(3, distance=1000.0)

    training = classes.train(list(figures), labels)

    # After six pictures the seventh is wrong once in eight, half of that for each class.
    assert training.probability.max() == pytest.approx(1 - 1 / 16)


def test_turned_pictures_are_left_out_where_the_way_up_matters():
    figures, labels = separated(15, distance=30.0)
    figures[:15, 2], figures[15:, 2] = figures[15:, 0], figures[:15, 0]  # upside down: the other

    assert not classes.train(list(figures), labels).is_turned


def test_few_labels_are_said():
    figures, _labels = separated(4, distance=5.0)

    with pytest.raises(NotEnoughLabels, match=r"too few are named of b \(2\), c \(1\)"):
        classes.train(list(figures), ["a"] * 5 + ["b", "b", "c"])
    with pytest.raises(NotEnoughLabels, match="from two on"):
        classes.train(list(figures), ["a"] * 8)


def test_judging_takes_features_of_any_size():
    figures, labels = separated(10, distance=30.0)
    model = classes.train(list(figures), labels).model

    judged = model.judge(described(figures[0, 0]))

    assert judged.classes[0][0] == "a"
    assert judged.evidence.shape == (14, 14)


@pytest.mark.parametrize(
    "bundle",
    [
        Bundle({"form": "other"}, {}, b""),
        Bundle({"form": classes.FORM, "labels": ["a", "b"]}, {}, b""),
        Bundle(
            {
                "form": classes.FORM,
                "labels": ["a", "b"],
                "sharpness": 1,
                "doubt": 0.1,
                "least_likeness": 0,
            },
            {name: np.zeros(3) for name in ("middle", "scale", "weights", "offsets", "kept")},
            b"",
        ),
    ],
)
def test_nonsense_is_refused(bundle):
    with pytest.raises(ArtifactRefused):
        classes.unpack(bundle)
