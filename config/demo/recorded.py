"""Which recorded data can be replayed. Without Django: asked before anything is started."""

import os
from pathlib import Path

from mlops.maintenance import run_to_failure
from mlops.maintenance.run_to_failure import RunToFailure

USUAL_SET = "FD001"


def choose(folder: Path) -> RunToFailure:
    """Read the set to replay: FD001, another that SUBSET names, or the first there is.

    Raises:
        ValueError: the folder holds no recording in the form that is understood.
    """
    wanted = os.environ.get("SUBSET", "")
    try:
        if not folder.is_dir():
            raise run_to_failure.BadFolder(f"{folder} is no folder.")
        usual = any(folder.glob(f"train_{USUAL_SET}.*"))
        if wanted or usual:
            return run_to_failure.read(folder, wanted or USUAL_SET)
        return next(run_to_failure.read_all(folder))
    except run_to_failure.BadFolder as error:
        raise ValueError(
            f"{error} What can be replayed are folders with train_<set>, test_<set> and RUL_<set> "
            "(.csv, .csv.gz or .txt): a row is a unit, its cycle and its signals; training units "
            "run to their failure, test units end before it, RUL holds what each of them had left."
            " SUBSET names the set."
        ) from error
