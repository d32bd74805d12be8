"""Whether forecasts of quality are worth serving: the later cases decide.

With cases in random order a model may recognise the week, the operator or the batch, and look
good. In use it judges parts made after everything it has learnt from. So both figures are taken
and told, and the one in time order decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular.skill import Skill
from mlops.tabular.training import Judged

NO_MODEL = "no evidence of skill in time order: no model is served"
N_DRAWS = 500
# Neighbours in time are alike for reasons that are not skill. Whole blocks are drawn, so many
# that their number supports an interval and each is long enough to hold such a spell.
N_BLOCKS = 40
CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class Area:
    """The share of pairs of cases, one of each outcome, that forecasts put in the right order.

    Attributes:
        value: 0.5 is chance; NaN where no fold holds two outcomes.
        low, high: 90 % interval, blocks drawn.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a model before it is served.

    Attributes:
        skill: gain over the base rate, in time order where times are known.
        random: area with cases in random order; None where it was not taken.
        in_time: area with later cases judged by models of earlier ones; None without times.
    """

    skill: Skill
    random: Area | None
    in_time: Area | None

    @property
    def is_shown(self) -> bool:
        """Whether a model may be served."""
        area = self.in_time or self.random
        return self.skill.is_shown and (area is None or area.low > CHANCE)

    @property
    def sentence(self) -> str:
        told = self.areas_sentence
        if self.in_time is None or self.is_shown:
            return f"{self.skill.sentence} {told}".strip()
        return f"{NO_MODEL.capitalize()}. {told} {self.skill.sentence}"

    @property
    def areas_sentence(self) -> str:
        parts = []
        if self.random is not None:
            parts.append(f"{_told(self.random)} with cases in random order")
        if self.in_time is not None:
            parts.append(f"{_told(self.in_time)} with later cases judged by models of earlier ones")
        return f"AUC {', '.join(parts)}; 0.5 is chance." if parts else ""


def _told(area: Area) -> str:
    return f"{area.value:.2f} ({area.low:.2f} to {area.high:.2f})"


def area_of(judged: Judged, codes: IntArray, order: FloatArray, *, seed: int = 0) -> Area:
    """Measure how well forecasts rank cases.

    Args:
        judged: forecasts of held-back cases; of several classes the mean over classes counts.
        codes: (n_cases,) what became of all cases.
        order: (n_cases,) times or any order in which neighbours are alike.

    Source: Kuensch, The jackknife and the bootstrap for general stationary observations (Annals
    of Statistics, 1989), for blocks.
    """
    by_time = np.argsort(order[judged.rows], kind="stable")
    probability, fold = judged.probability[by_time], judged.fold[by_time]
    outcome = codes[judged.rows][by_time]
    blocks = np.array_split(np.arange(len(outcome)), min(N_BLOCKS, len(outcome)))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(N_DRAWS):
        chosen = rng.integers(0, len(blocks), len(blocks))
        rows = np.concatenate([blocks[i] for i in chosen])
        drawn.append(within_folds(probability[rows], outcome[rows], fold[rows]))
    values = np.array(drawn)
    value = within_folds(probability, outcome, fold)
    if np.isnan(values).all():
        return Area(value, 0.0, 1.0)
    low, high = np.nanquantile(values, [0.05, 0.95])
    return Area(value, float(low), float(high))


def within_folds(probability: FloatArray, codes: IntArray, fold: IntArray) -> float:
    """Return the area within folds, weighted by their pairs; NaN where there is no pair.

    Forecasts of different models are not compared: each has its own base rate.
    """
    classes = [1] if probability.shape[1] == 2 else list(range(probability.shape[1]))
    areas = []
    for code in classes:
        right = pairs = 0.0
        for number in np.unique(fold):
            own = fold == number
            happened = codes[own] == code
            n_yes, n_no = int(happened.sum()), int((~happened).sum())
            if n_yes and n_no:
                ranks = scipy.stats.rankdata(probability[own, code])
                right += float(ranks[happened].sum()) - n_yes * (n_yes + 1) / 2.0
                pairs += n_yes * n_no
        if pairs:
            areas.append(right / pairs)
    return float(np.mean(areas)) if areas else float("nan")
