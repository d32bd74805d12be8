"""A product taught from good pictures: what it finds, where it errs, how it is mended."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlops import artifacts
from mlops.artifacts import ArtifactRefused, Bundle, Identity
from mlops.vision import anomaly, inspector, memory, packing, places
from mlops.vision.anomaly import Defect, TooFewGoodPictures
from mlops.vision.limits import threshold_of
from mlops.vision.patches import Frame
from mlops.vision.regions import regions_of
from tests.mlops.vision import parts

pytestmark = pytest.mark.slow
OURS = Identity("acme", packing.KIND, "plate", 1)


def scores(made, pictures):
    return np.array([made.model.judge(pixels).score for pixels in pictures])


@pytest.mark.parametrize("product", ["brushed", "cast", "plate"])
def test_defects_stand_out(taught, product):
    made = taught(product).inspector
    bad = [
        pixels for kind in parts.DEFECTS
        for pixels, _mask in parts.defective(product, kind, 4, seed=5)
    ]  # fmt: skip
    fine = parts.good(product, 12, seed=6)

    found = np.concatenate([scores(made, fine), scores(made, bad)])

    assert roc_auc_score(np.arange(len(found)) >= len(fine), found) > 0.9


def test_a_missing_feature_stands_out(taught):
    made = taught("plate").inspector

    lacking, whole = (
        scores(made, pictures)
        for pictures in (parts.incomplete(5, seed=7), parts.good("plate", 8, seed=8))
    )
    assert lacking.min() > whole.max()


def test_the_hottest_region_lies_on_the_defect(taught):
    model = taught("brushed").inspector.model
    hits = 0
    for pixels, mask in parts.defective("brushed", "scratch", 6, seed=9):
        verdict = model.judge(pixels)
        if verdict.regions:
            one = verdict.regions[0]
            hits += mask[one.top : one.top + one.height, one.left : one.left + one.width].any()
    assert hits >= 5


def test_good_parts_pass(taught):
    for product in parts.PRODUCTS:
        made = taught(product).inspector
        rejected = scores(made, parts.good(product, 15, seed=10)) > made.model.threshold
        assert rejected.sum() <= 2


def test_scores_of_the_taught_pictures_are_as_of_unseen_ones(taught):
    trained = taught("cast")
    unseen = scores(trained.inspector, parts.good("cast", 20, seed=11))

    assert np.median(trained.good_scores) == pytest.approx(np.median(unseen), rel=0.25)


def test_the_same_pictures_give_the_same_model(taught):
    again = inspector.train(parts.good("plate", 14, seed=1)).inspector

    one, other = packing.pack(taught("plate").inspector), packing.pack(again)

    assert one.manifest == other.manifest
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])


FAINT = {"strength": 0.12}


def test_a_shown_miss_is_found_and_others_like_it_are(taught):
    before = taught("cast").inspector
    shown = parts.defective("cast", "stain", 4, seed=12, **FAINT)
    alike = [pixels for pixels, _mask in parts.defective("cast", "stain", 8, seed=13, **FAINT)]

    after = inspector.train(parts.good("cast", 14, seed=1), defects=[Defect(*one) for one in shown])

    model = after.inspector.model
    assert all(model.judge(pixels).is_rejected for pixels, _mask in shown)
    fine = parts.good("cast", 12, seed=14)
    assert separated(after.inspector, fine, alike) >= separated(before, fine, alike)
    assert (scores(after.inspector, fine) > model.threshold).sum() <= 2


def separated(made, fine, bad):
    found = np.concatenate([scores(made, fine), scores(made, bad)])
    return roc_auc_score(np.arange(len(found)) >= len(fine), found)


def test_a_miss_nobody_marked_is_found_as_well():
    (pixels, _mask), *_rest = parts.defective("brushed", "pit", 1, seed=15)

    after = anomaly.train(parts.good("brushed", 12, seed=1), defects=[Defect(pixels)])

    assert after.model.judge(pixels).is_rejected
    assert len(after.defect_scores) == 1


def test_a_false_alarm_is_learnt(taught):
    odd = parts.defective("brushed", "stain", 3, seed=16)
    first = taught("brushed").inspector.model

    after = anomaly.train(parts.good("brushed", 14, seed=1) + [pixels for pixels, _mask in odd])

    pixels = odd[0][0]
    ratio = after.model.judge(pixels).score / after.model.threshold
    assert ratio < first.judge(pixels).score / first.threshold


def test_too_few_good_pictures_are_refused():
    with pytest.raises(TooFewGoodPictures, match="9 good pictures"):
        anomaly.train(parts.good("cast", 9, seed=1))


def test_a_stored_inspector_judges_as_the_trained_one(taught):
    made = taught("plate").inspector
    blob = artifacts.seal(packing.pack(made), identity=OURS, key="k")

    stored = packing.unpack(artifacts.open_sealed(blob, identity=OURS, key="k"))

    pixels = parts.incomplete(1, seed=17)[0]
    one, other = made.inspect(pixels), stored.inspect(pixels)
    assert one.verdict.score == other.verdict.score
    assert one.complaints == other.complaints
    np.testing.assert_array_equal(one.verdict.mask, other.verdict.mask)
    assert len(blob) < 20 * 1024 * 1024


@pytest.mark.parametrize(
    "change",
    [{"kind": "anomaly"}, {"form": 99}, {"frame": [64, 64]}, {"share": 2.0}, {"views": []},
     {"threshold": -1.0}, {"threshold": "high"}, {"brightness": [1.0]}],
)  # fmt: skip
def test_a_bundle_that_makes_no_sense_is_refused(taught, change):
    bundle = packing.pack(taught("plate").inspector)

    with pytest.raises(ArtifactRefused):
        packing.unpack(Bundle({**bundle.manifest, **change}, bundle.arrays, b""))


@pytest.mark.parametrize("name", ["places_mean", "memory_members", "embeddings", "sizes"])
def test_arrays_that_do_not_fit_are_refused(taught, name):
    bundle = packing.pack(taught("plate").inspector)
    arrays = {**bundle.arrays, name: bundle.arrays[name][..., :1]}

    with pytest.raises(ArtifactRefused):
        packing.unpack(Bundle(bundle.manifest, arrays, b""))


def test_any_size_of_picture_is_judged(taught):
    verdict = taught("plate").inspector.model.judge(np.zeros((500, 333, 3), np.uint8))

    assert verdict.is_rejected
    assert all(
        one.left + one.width <= 333 and one.top + one.height <= 500 for one in verdict.regions
    )


def test_places_know_where_and_memory_knows_what():
    """Two looks in fixed halves: swapped, each patch is good somewhere, but not there."""
    rng = np.random.default_rng(3)
    left, right = np.zeros(6), np.full(6, 4.0)
    halves = np.stack([np.stack([left] * 3 + [right] * 3)] * 4)
    taught_patches = (halves + rng.normal(0, 0.3, (12, 4, 6, 6))).astype(np.float32)
    swapped = (halves[:, ::-1] + rng.normal(0, 0.3, (4, 6, 6))).astype(np.float32)

    placed, near = places.fit(taught_patches)
    remembered, far = memory.fit(taught_patches)

    assert placed.distance(swapped).min() > near.max()
    assert np.median(remembered.distance(swapped)) < far.max()


def test_texture_shrinks_the_means_of_places():
    rng = np.random.default_rng(3)
    same = rng.normal(0, 1, (12, 8, 8, 5)).astype(np.float32)

    placed, _near = places.fit(same)

    assert placed.mean.std(axis=(0, 1)).max() < 0.5 * same.mean(axis=0).std(axis=(0, 1)).min()


def test_places_judge_each_picture_as_if_it_had_not_been_there():
    rng = np.random.default_rng(5)
    many = rng.normal(0, 1, (40, 6, 6, 4)).astype(np.float32)

    placed, left_out = places.fit(many[:12])

    unseen = np.mean([placed.distance(one).mean() for one in many[12:]])
    assert left_out.mean() == pytest.approx(unseen, rel=0.05)


def test_the_nearest_member_is_found():
    rng = np.random.default_rng(8)
    points, members = rng.normal(size=(20, 4)), rng.normal(size=(30, 4))
    by_hand = np.linalg.norm(points[:, None] - members, axis=2).min(axis=1) / 2.0

    found = memory.nearest(points.astype(np.float32), members.astype(np.float32))

    np.testing.assert_allclose(found, by_hand, rtol=1e-3)


def test_covering_points_lie_apart():
    grid = np.stack(np.meshgrid(*[np.arange(10.0)] * 2), axis=-1).reshape(-1, 2)

    chosen = grid[memory.covering(grid.astype(np.float32), 4)]

    apart = np.linalg.norm(chosen[:, None] - chosen, axis=2)[np.triu_indices(4, 1)]
    assert apart.min() > 5


def test_thresholds_hold_the_stated_rate():
    exceeded = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        limit = threshold_of(np.exp(rng.normal(0, 0.2, 12)), rate=0.05)
        exceeded.append((np.exp(rng.normal(0, 0.2, 200)) > limit).mean())
    assert np.mean(exceeded) == pytest.approx(0.05, abs=0.01)


def test_many_pictures_speak_for_themselves():
    values = np.arange(1.0, 100.0)

    assert threshold_of(values, rate=0.05) == 95.0


def test_regions_have_boxes_in_pixels_of_the_picture():
    heat = np.zeros((40, 40), np.float32)
    heat[10:20, 5:10] = 2.0
    heat[30:32, 30:32] = 1.2
    heat[0:2, 0:2] = 0.9

    first, second = regions_of(heat, limit=1.0, height=80, width=120)

    assert (first.left, first.top, first.width, first.height) == (15, 20, 15, 20)
    assert (first.area, first.heat) == (300, 2.0)
    assert (second.left, second.top) == (90, 60)


def test_a_region_ends_where_its_heat_has_halved_and_what_is_hot_beside_it_is_another():
    rows, columns = np.mgrid[:160, :160]

    def spot(row, column, hottest, width):
        apart = (rows - row) ** 2 + (columns - column) ** 2
        return hottest * np.exp(-apart / (2 * width**2))

    heat = (spot(60, 60, 6.0, 12) + spot(60, 110, 2.0, 8)).astype(np.float32)

    first, second = regions_of(heat, limit=1.0, height=160, width=160)

    half = 12 * np.sqrt(2 * np.log(2))
    assert first.width == pytest.approx(2 * half, abs=4)
    assert first.left == pytest.approx(60 - half, abs=3)
    assert second.left < 110 < second.left + second.width
    assert second.heat == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("sides", [(1000, 1000), (1080, 1920), (3000, 100), (64, 64)])
def test_frames_keep_the_shape_and_bound_the_work(sides):
    frame = Frame.around(*sides)

    assert frame.height % 32 == frame.width % 32 == 0
    assert 0.7 < frame.height * frame.width / 320**2 < 1.3
