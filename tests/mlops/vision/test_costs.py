import numpy as np
import pytest

from mlops.vision.costs import DefectClass, UnusableCosts, choose

RNG = np.random.default_rng(4)
GOOD = np.exp(RNG.normal(0.0, 0.2, 60))
BAD = np.exp(RNG.normal(1.2, 0.3, 40))


def curve(good=GOOD, *, escape_cost=10_000, reject_cost=100, share=0.02, scores=BAD, **more):
    defects = {"scratch": DefectClass(scores, share, escape_cost)} | more
    return choose(
        good, defects, false_reject_cost=reject_cost, parts_a_day=1000.0, false_reject_rate=0.02
    )


def test_a_dear_escape_lowers_the_threshold():
    cheap, dear = curve(escape_cost=200), curve(escape_cost=200_000)

    assert dear.best.threshold < cheap.best.threshold
    assert dear.best.escapes["scratch"].value < cheap.best.escapes["scratch"].value
    assert dear.best.false_rejects.value > cheap.best.false_rejects.value


def test_a_dear_false_reject_raises_it():
    assert curve(reject_cost=10_000).best.threshold > curve(reject_cost=10).best.threshold


def test_the_best_is_near_the_optimum_of_the_true_distributions():
    many = np.random.default_rng(9)
    good, bad = np.exp(many.normal(0.0, 0.2, 4000)), np.exp(many.normal(1.2, 0.3, 4000))
    found = curve(good, scores=bad)

    def cost(threshold):
        rejected, escaping = (good > threshold).mean(), (bad <= threshold).mean()
        return 1000 * (0.98 * 100 * rejected + 0.02 * 10_000 * escaping)

    best = min(cost(threshold) for threshold in found.thresholds)
    assert cost(found.best.threshold) <= 1.1 * best


def test_costs_add_up():
    found = curve()
    point = found.best

    by_hand = 100 * point.false_rejects.value + 10_000 * point.escapes["scratch"].value
    assert point.cost == pytest.approx(by_hand)
    assert point.cost == pytest.approx(found.costs.min())


def test_never_seen_is_not_never():
    point = curve(scores=np.array([50.0, 60.0, 70.0])).best

    assert point.escapes["scratch"].low < point.escapes["scratch"].value
    assert point.escapes["scratch"].value > 0.5  # of 20 a day, from three pictures


def test_intervals_narrow_with_pictures():
    few, many = curve(scores=BAD[:4]).best, curve(scores=np.tile(BAD, 10)).best

    def width(point):
        return point.escapes["scratch"].high - point.escapes["scratch"].low

    assert width(many) < width(few) / 2


def test_the_interval_holds_what_comes():
    """9 of 10 intervals should hold the true share; the kernel may cost a little."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = curve(np.exp(rng.normal(0, 0.2, 80)), scores=np.exp(rng.normal(1, 0.3, 20)))
        from_now = np.exp(rng.normal(0, 0.2, 20_000))
        true = 980 * (from_now > found.best.threshold).mean()
        held += found.best.false_rejects.low <= true <= found.best.false_rejects.high
    assert held >= 160


def test_without_defects_the_stated_rate_is_kept_and_said():
    found = choose(
        GOOD, {}, false_reject_cost=100, parts_a_day=1000.0, false_reject_rate=0.02
    )  # fmt: skip

    assert found.is_one_sided
    assert "No defect has been shown yet" in found.sentence
    assert found.best.false_rejects.low <= 20.0 <= found.best.false_rejects.high
    assert found.best.threshold < 2 * GOOD.max()


def test_a_class_that_nobody_has_shown_is_named():
    found = curve(pit=DefectClass(np.empty(0), 0.01, 500))

    assert "pit" in found.sentence
    assert set(found.best.escapes) == {"scratch"}


def test_classes_weigh_by_share_and_cost():
    faint = DefectClass(np.exp(RNG.normal(0.3, 0.2, 30)), 0.01, 50_000)

    assert curve(stain=faint).best.threshold < curve().best.threshold


@pytest.mark.parametrize(
    "wrong",
    [{"escape_cost": -1}, {"reject_cost": -1}, {"share": 1.0}, {"share": -0.1},
     {"good": np.empty(0)}],
)  # fmt: skip
def test_figures_out_of_range_are_refused(wrong):
    with pytest.raises(UnusableCosts):
        curve(wrong.pop("good", GOOD), **wrong)


def test_the_same_scores_give_the_same_curve():
    np.testing.assert_array_equal(curve().costs, curve().costs)


def test_scores_that_are_all_alike_can_be_weighed():
    assert curve(np.full(12, 1.0), scores=np.full(3, 3.0)).best.threshold > 1.0
