"""Made-up bursts: sines, noise, and a bearing whose impacts ring the housing."""

import numpy as np

from mlops.vibration.levels import Burst


def sine(amplitude_g, frequency_hz, *, seconds=1.0, rate_hz=10_000.0, speed_rpm=None):
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    return Burst(amplitude_g * np.sin(2 * np.pi * frequency_hz * time), rate_hz, speed_rpm)


def struck(frequency_hz, *, resonance_hz=3_400.0, seconds=4.0, speed_rpm=1_797.0, seed=0, high=2.0):
    """Impacts at a rate, each ringing at a resonance and dying away, in noise of 0.2 g."""
    rate_hz = 12_000.0
    n = int(seconds * rate_hz)
    impacts = np.zeros(n)
    if high:
        impacts[(np.arange(0, seconds, 1 / frequency_hz) * rate_hz).astype(int)] = high
    time = np.arange(int(0.02 * rate_hz)) / rate_hz
    ringing = np.exp(-time * 900) * np.sin(2 * np.pi * resonance_hz * time)
    noise = np.random.default_rng(seed).normal(0, 0.2, n)
    return Burst(np.convolve(impacts, ringing)[:n] + noise, rate_hz, speed_rpm)
