"""What can happen to models: they are trained, judged, put into service, asked and watched;
bursts of vibration and pictures are kept, judged and labelled."""

from mlops.kinds import NotReady
from mlops.picture_store import PictureGone, PictureUnknown, TooManyPending
from mlops.services.judging import (
    NotPossible,
    compare_on_outcomes,
    consider,
    judge,
    promote,
    roll_back,
)
from mlops.services.judging_later import ask_to_judge, ask_to_judge_anew, judge_images
from mlops.services.labelling import LabelRefused, RegionSaid, label_picture
from mlops.services.looking import LotUnknown, Piece, inspect_picture, judge_image
from mlops.services.mending import fix_false_alarm, fix_miss
from mlops.services.pictures import (
    SetupFields,
    SetupRefused,
    add_picture,
    keep_picture,
    retain_pictures,
    save_setup,
    store_pictures,
    store_waiting,
)
from mlops.services.proposing import propose
from mlops.services.quality import predict_quality
from mlops.services.scoring import score_machines
from mlops.services.training import (
    begin_where_ready,
    cancel_training,
    open_training,
    record_run,
    request_training,
    train,
)
from mlops.services.vibration import (
    BurstReceipt,
    PlaceFields,
    PlaceRefused,
    RefusedBurst,
    judge_newest,
    save_place,
    store_bursts,
    thin_bursts,
)
from mlops.services.watching import look, settle, watch

__all__ = [
    "BurstReceipt",
    "LabelRefused",
    "LotUnknown",
    "NotPossible",
    "NotReady",
    "PictureGone",
    "PictureUnknown",
    "Piece",
    "PlaceFields",
    "PlaceRefused",
    "RefusedBurst",
    "RegionSaid",
    "SetupFields",
    "SetupRefused",
    "TooManyPending",
    "add_picture",
    "ask_to_judge",
    "ask_to_judge_anew",
    "begin_where_ready",
    "cancel_training",
    "compare_on_outcomes",
    "consider",
    "fix_false_alarm",
    "fix_miss",
    "inspect_picture",
    "judge",
    "judge_image",
    "judge_images",
    "judge_newest",
    "keep_picture",
    "label_picture",
    "look",
    "open_training",
    "predict_quality",
    "promote",
    "propose",
    "record_run",
    "request_training",
    "retain_pictures",
    "roll_back",
    "save_place",
    "save_setup",
    "score_machines",
    "settle",
    "store_bursts",
    "store_pictures",
    "store_waiting",
    "thin_bursts",
    "train",
    "watch",
]
