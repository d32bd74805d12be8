"""What can happen to models: they are trained, judged, put into service, asked and watched."""

from mlops.kinds import NotReady
from mlops.services.judging import (
    NotPossible,
    compare_on_outcomes,
    consider,
    judge,
    promote,
    roll_back,
)
from mlops.services.proposing import propose
from mlops.services.scoring import score_machines
from mlops.services.training import (
    begin_where_ready,
    cancel_training,
    open_training,
    record_run,
    request_training,
    train,
)
from mlops.services.watching import look, settle, watch

__all__ = [
    "NotPossible",
    "NotReady",
    "begin_where_ready",
    "cancel_training",
    "compare_on_outcomes",
    "consider",
    "judge",
    "look",
    "open_training",
    "promote",
    "propose",
    "record_run",
    "request_training",
    "roll_back",
    "score_machines",
    "settle",
    "train",
    "watch",
]
