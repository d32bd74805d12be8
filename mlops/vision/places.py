"""What good parts look like at each place of the picture, and how far they stray there.

Each place has a mean of its own, as far as the good pictures agree on one: where the part always
lies alike, the place's mean is kept, where the picture is a texture, it shrinks to the mean of all
places. What remains is measured by one covariance of all places (few pictures cannot fill one for
each) and one factor a place for how restless it is.

Sources: Defard and others, PaDiM (ICPR workshops, 2021), for Gaussians per position; Efron and
Morris, Data analysis using Stein's estimator (JASA, 1975), for shrinking means by what the data
say about their spread; Rippel and others, Modeling the distribution of normal data in pre-trained
deep features (ICPR, 2021), for the Mahalanobis distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.lives import FloatArray
from mlops.vision.backbone import Single

# Share of the mean variance in the covariance's diagonal: directions hardly ever seen stay finite.
RIDGE: Final = 0.001
# The restlessness of a place counts as much as this share of what all places have on average.
CALM: Final = 0.3


@dataclass(frozen=True, slots=True)
class Places:
    """A Gaussian per place.

    Attributes:
        mean: (rows, columns, n_channels).
        whitening: (n_channels, n_channels), symmetric inverse root of the common covariance.
        restless: (rows, columns), mean squared whitened deviation of good pictures, about 1.
    """

    mean: Single
    whitening: Single
    restless: Single

    def distance(self, patches: Single) -> Single:
        """Return (rows, columns) how far each patch lies from good ones, about 1 where good."""
        squared = _squared(patches - self.mean, self.whitening)
        return np.asarray(np.sqrt(squared / self.restless), np.float32)


def fit(good: Single) -> tuple[Places, Single]:
    """Learn from good pictures, and judge each by what the others say.

    Args:
        good: (n, rows, columns, n_channels), n of at least 3.

    Returns:
        The places, and (n, rows, columns) the distances of the good pictures, each measured from
        the mean, covariance and restlessness of the others.
    """
    n = len(good)
    overall, mean = good.mean(axis=(0, 1, 2)), good.mean(axis=0)
    own = _own_share(good, overall, mean)

    def deviation(one: Single) -> Single:
        # From the mean of the others: without itself the mean moves away by 1 / (n - 1).
        apart = (one - mean) * (1.0 + own / (n - 1)) + (1.0 - own) * (mean - overall)
        return np.asarray(apart, np.float32)

    spreads = np.stack([_spread(deviation(one)) for one in good])
    whitening = inverse_root(spreads.mean(axis=0), ridge=RIDGE)
    squared = np.stack([_squared(deviation(one), whitening) for one in good])
    left_out = np.empty_like(squared)
    for number, one in enumerate(good):
        without = (spreads.sum(axis=0) - spreads[number]) / (n - 1)
        others = (squared.sum(axis=0) - squared[number]) / (n - 1)
        here = _squared(deviation(one), inverse_root(without, ridge=RIDGE))
        left_out[number] = np.sqrt(here / _calmed(others))
    places = Places(overall + own * (mean - overall), whitening, _calmed(squared.mean(axis=0)))
    return places, left_out


def _spread(deviation: Single) -> FloatArray:
    """Return (n_channels, n_channels), the covariance of one picture's deviations."""
    flat = deviation.reshape(-1, deviation.shape[-1])
    return np.asarray(flat.T @ flat / len(flat), np.float64)


def _squared(deviation: Single, whitening: Single) -> Single:
    """Return (rows, columns) mean squares of whitened deviations."""
    return np.asarray(((deviation @ whitening) ** 2).mean(axis=-1), np.float32)


def _own_share(good: Single, overall: Single, mean: Single) -> Single:
    """Return (n_channels,) how much of a place's mean is its own and not chance: 0 to 1."""
    n = len(good)
    within = np.mean([((one - mean) ** 2).mean(axis=(0, 1)) for one in good], axis=0) * n / (n - 1)
    between = np.maximum(((mean - overall) ** 2).mean(axis=(0, 1)) - within / n, 0.0)
    share: Single = (between / (between + within / n + 1e-12)).astype(np.float32)
    return share


def inverse_root(covariance: FloatArray, *, ridge: float) -> Single:
    """Return the symmetric inverse root of a covariance that is drawn towards equal variances.

    Args:
        ridge: the share of the mean variance that each direction is given.
    """
    n_channels = len(covariance)
    typical = max(float(np.trace(covariance)) / n_channels, 1e-6)
    values, vectors = np.linalg.eigh(
        (1.0 - ridge) * covariance + ridge * typical * np.eye(n_channels)
    )
    root: Single = ((vectors / np.sqrt(values)) @ vectors.T).astype(np.float32)
    return root


def _calmed(squared: Single) -> Single:
    """Draw each place's mean square towards that of all places."""
    typical = max(float(squared.mean()), 1e-6)
    calmed: Single = ((squared + CALM * typical) / (1.0 + CALM)).astype(np.float32)
    return calmed
