"""Vision: what judging a picture costs one core, what teaching takes, how large a model is."""

import os
import time

import numpy as np

from tests.mlops.pictures.parts import part, png

N_GOOD = 30
N_JUDGED = 40
WANTED = {"ms_per_image": "at most 150", "train_30_s": "at most 60", "memory_mb": "below 200"}
MEGABYTE = 1024 * 1024


def run() -> dict[str, float]:
    """Return what a plan taught from 30 good pictures of 640 x 480 pixels costs.

    `ms_per_image` is the processor's time from the picture's bytes to the verdict with boxes, all
    libraries at one thread, median; `ms_elapsed` the same by the clock. `train_30_s` is from the
    pictures to the stored model. `memory_mb` is the model as it is kept.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from mlops import artifacts
    from mlops.artifacts import Identity
    from mlops.benchmarks.one_core import figures, one_core, timed
    from mlops.vision import inspector, packing, pictures

    identity = Identity("bench", packing.KIND, "bench", 1)
    good = [pictures.decode(_picture(seed)).pixels for seed in range(N_GOOD)]
    with one_core():
        started = time.monotonic()
        made = inspector.train(good).inspector
        blob = artifacts.seal(packing.pack(made), identity=identity, key="bench")
        train_s = time.monotonic() - started
        served = packing.unpack(artifacts.open_sealed(blob, identity=identity, key="bench"))
        shots = [
            _picture(seed, spoilt="scratch" if seed % 2 else "")
            for seed in range(900, 900 + N_JUDGED)
        ]
        took = [
            timed(lambda shot=shot: served.inspect(pictures.decode(shot).pixels))[1]
            for shot in shots
        ]
    return {
        **{name: round(value, 1) for name, value in figures(took).items()},
        "train_30_s": round(train_s, 1),
        "memory_mb": round(len(blob) / MEGABYTE, 1),
    }


def _picture(seed: int, *, spoilt: str = "") -> bytes:
    """Return a part as a camera of 640 x 480 would send it."""
    small = part(seed, spoilt=spoilt)
    frame = np.full((480, 640, 3), 60, np.uint8)
    large = np.kron(small, np.ones((2, 2, 1), np.uint8))
    frame[40:440, 120:520] = large
    return png(frame)
