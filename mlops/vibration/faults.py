"""Kinds of fault told from labelled bursts.

For a plant that has records of known faults. What a window looks like is the shape of its
spectrum: log power in even bands, less their mean, so that load and mounting, which scale
everything, count for little. Kinds are told apart by linear discriminants with a shrunken
covariance: few recordings support no more, and the model is two small arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy

from mlops.artifacts import ArtifactRefused, Bundle
from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.vibration.levels import UnusableBurst

N_SAMPLES: Final = 2_048
# Results change little from 16 to 64.
N_BANDS: Final = 32
PIECE: Final = 512
FORM: Final = "vibration-faults-1"


class NotEnoughRecords(ValueError):
    """A kind of fault was recorded too rarely to learn it."""

    def __init__(self, kind: str, n_records: int, n_needed: int = 2) -> None:
        self.kind, self.n_records, self.n_needed = kind, n_records, n_needed
        super().__init__(
            f"Not enough data: needs about {n_needed - n_records} more recordings of {kind!r} "
            f"({n_records} of {n_needed} known)."
        )


def windows_of(samples_g: FloatArray) -> FloatArray:
    """Cut a recording into (n_windows, 2048) windows without overlap; a rest is left out.

    Raises:
        UnusableBurst: the recording is shorter than one window.
    """
    n_windows = len(samples_g) // N_SAMPLES
    if not n_windows:
        raise UnusableBurst(f"A recording needs at least {N_SAMPLES} samples.")
    return samples_g[: n_windows * N_SAMPLES].reshape(n_windows, N_SAMPLES).astype(np.float64)


def features_of(windows: FloatArray) -> FloatArray:
    """Return (n_windows, 32): log power in even bands from 0 to half the rate, less its mean."""
    _frequency, power = scipy.signal.welch(windows, nperseg=PIECE, axis=1)
    starts = np.linspace(1, power.shape[1], N_BANDS + 1)[:-1].astype(np.int64)
    log_power = np.log(np.add.reduceat(power, starts, axis=1) + 1e-20)
    return np.asarray(log_power - log_power.mean(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class FaultModel:
    """Linear discriminants of kinds of fault.

    Attributes:
        kinds: names.
        rate_hz: of the bursts learnt from; bands mean other frequencies at another rate.
        weights: (n_features, n_kinds).
        offsets: (n_kinds,).
    """

    kinds: tuple[str, ...]
    rate_hz: float
    weights: FloatArray
    offsets: FloatArray

    def scores(self, windows: FloatArray, *, rate_hz: float) -> FloatArray:
        """Return (n_windows, n_kinds): log-likelihoods up to a constant, to be compared.

        Raises:
            UnusableBurst: sampled at another rate than those learnt from.
        """
        if abs(rate_hz - self.rate_hz) > 0.01 * self.rate_hz:
            raise UnusableBurst(
                f"The model was trained at {self.rate_hz:g} samples a second, these are "
                f"{rate_hz:g}."
            )
        return features_of(windows) @ self.weights + self.offsets

    def called(self, windows: FloatArray, *, rate_hz: float) -> IntArray:
        """Return (n_windows,) places in `kinds`."""
        return np.asarray(np.argmax(self.scores(windows, rate_hz=rate_hz), axis=1), dtype=np.int64)


def fit(
    windows: FloatArray, codes: IntArray, kinds: Sequence[str], *, rate_hz: float
) -> FaultModel:
    """Learn kinds of fault from windows; every kind is taken to be equally likely.

    Args:
        windows: (n_windows, 2048).
        codes: (n_windows,) places in `kinds`; each kind has to be there.

    Source: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance
    matrices (J. Multivariate Analysis, 2004), for the shrinkage.
    """
    from sklearn.covariance import ledoit_wolf

    features = features_of(windows)
    means = np.array([features[codes == code].mean(axis=0) for code in range(len(kinds))])
    within = features - means[codes]
    # Each kind weighs the same, however many windows it has.
    scale = np.sqrt(len(codes) / (len(kinds) * np.bincount(codes, minlength=len(kinds))))
    spread = within.std(axis=0) + 1e-9
    covariance, _shrinkage = ledoit_wolf(within * scale[codes][:, None] / spread)
    scaled = means / spread
    solved = np.linalg.solve(covariance, scaled.T)
    offsets = -0.5 * np.sum(scaled.T * solved, axis=0)
    return FaultModel(tuple(kinds), rate_hz, solved / spread[:, None], offsets)


@dataclass(frozen=True, slots=True)
class Judged:
    """Windows of recordings that were held back, and what they were called.

    Attributes:
        rows: (n_judged,) places of the windows.
        called: (n_judged,) kinds.
    """

    rows: IntArray
    called: IntArray


def held_out(
    windows: FloatArray, codes: IntArray, kinds: Sequence[str], groups: IntArray,
    *, rate_hz: float,
) -> Judged:  # fmt: skip
    """Hold back each group of windows in turn and judge it by a model of the others.

    Args:
        groups: (n_windows,) recordings, or whatever else must not be on both sides. A group
            whose kind would be unknown without it is only learnt from.
    """
    rows, called = [], []
    for group in np.unique(groups):
        own = groups == group
        if not np.isin(np.unique(codes[own]), codes[~own]).all():
            continue
        here = np.unique(codes[~own])
        model = fit(
            windows[~own], np.searchsorted(here, codes[~own]), [kinds[i] for i in here],
            rate_hz=rate_hz,
        )  # fmt: skip
        rows.append(np.flatnonzero(own))
        called.append(here[model.called(windows[own], rate_hz=rate_hz)])
    if not rows:
        counts = np.array([len(np.unique(groups[codes == code])) for code in range(len(kinds))])
        rarest = int(np.argmin(counts))
        raise NotEnoughRecords(kinds[rarest], int(counts[rarest]))
    return Judged(np.concatenate(rows), np.concatenate(called))


def pack(model: FaultModel) -> Bundle:
    """Return the model as JSON and arrays; there is nothing for ONNX to do."""
    return Bundle(
        manifest={"form": FORM, "kinds": list(model.kinds), "rate_hz": model.rate_hz},
        arrays={"weights": model.weights, "offsets": model.offsets},
        onnx=b"",
    )


def unpack(bundle: Bundle) -> FaultModel:
    """Return the model of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by a newer version.
    """
    head = bundle.manifest
    if head.get("form") != FORM:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        return FaultModel(
            tuple(head["kinds"]), float(head["rate_hz"]), bundle.arrays["weights"],
            bundle.arrays["offsets"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that scoring needs.") from error
