import pytest

from mlops.tabular import training
from tests.mlops.tabular.cases import parts


@pytest.fixture(scope="session")
def trained():
    return training.train(*parts(), n_threads=1)
