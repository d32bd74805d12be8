import pytest

from mlops.quality import training
from tests.mlops.quality.line import cracked


@pytest.fixture(scope="session")
def taught():
    """A line learnt with times."""
    parts, outcome, times = cracked()
    return training.train(parts, outcome, times=times, n_threads=1)
