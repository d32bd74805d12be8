"""What a machine's own words say about its state.

Controls speak MTConnect, PackML, OPC UA or a stack light. Each word becomes one cue; the
decision table in `analytics.states` turns cues, counts, power and the calendar into states.
Sources: MTConnect Streams 2.7 (EXECUTION, FUNCTIONAL_MODE, EMERGENCY_STOP, AVAILABILITY),
OPC 30060 section 11.9 (PackML), OPC 40001-1 clause 12 (machinery item states).
"""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Cue(IntEnum):
    """A word's meaning; the smallest wins where two signals of a machine speak at once."""

    DOWN = 0  # fault, emergency stop, held, out of service
    SETUP = 1  # set-up, teardown, manual work without an order
    MAINTENANCE = 2  # planned inside a window, otherwise down
    UNAVAILABLE = 3  # the adapter itself says that it knows nothing
    CYCLING = 4  # making something
    PAUSED = 5  # between two cycles: part of the work until the stop limit
    WAITING = 6  # able, not cycling
    OFF = 7  # switched off or asleep


_WORDS: dict[Cue, str] = {
    Cue.DOWN: (
        "triggered fault alarm held holding unholding aborted aborting clearing down failed "
        "outofservice out_of_service emergency_stop error breakdown red"
    ),
    Cue.SETUP: (
        "setup set_up set-up teardown process_development manual manual_data_input changeover"
    ),
    Cue.MAINTENANCE: "maintenance",
    Cue.UNAVAILABLE: "unavailable unknown undefined no_data nodata",
    Cue.CYCLING: "active execute executing completing running run producing processing busy green",
    Cue.PAUSED: "wait program_completed",
    Cue.WAITING: (
        "ready stopped interrupted feed_hold optional_stop program_stopped program_optional_stop "
        "idle starting resetting complete stopping suspended suspending unsuspending notexecuting "
        "not_executing waiting standby amber yellow blocked starved paused"
    ),
    Cue.OFF: "off notavailable not_available sleeping switched_off",
}
_CUE_OF_WORD: dict[str, Cue] = {
    word: cue for cue, words in _WORDS.items() for word in words.split()
}
# Words of a mode rather than a state: true all day, so they say nothing on their own.
_SILENT = frozenset({"automatic", "production", "armed", "available", "normal", "semi_automatic"})


def cue_of_word(word: str) -> float:
    """Name what a word means as a `Cue`, or NaN where it says nothing about the state."""
    folded = word.strip().lower().replace(" ", "_")
    if folded in _SILENT or folded not in _CUE_OF_WORD:
        return float("nan")
    return float(_CUE_OF_WORD[folded])


def cues_of_words(words: Iterable[str | None]) -> FloatArray:
    """Translate many words at once; each distinct word is looked up once.

    Returns:
        (n_words,): `Cue` values as floats, NaN for words that say nothing and for None.
    """
    meaning: dict[str | None, float] = {None: float("nan")}
    out = []
    for word in words:
        if word not in meaning:
            meaning[word] = cue_of_word(word) if word is not None else float("nan")
        out.append(meaning[word])
    return np.asarray(out, dtype=np.float64)


def cues_of_booleans(values: FloatArray) -> FloatArray:
    """Read a yes/no state signal: true is cycling, false is waiting, NaN stays NaN."""
    cues = np.where(values > 0.5, float(Cue.CYCLING), float(Cue.WAITING))
    return np.where(np.isnan(values), np.nan, cues)


def cues_of_lights(
    *, green: FloatArray | None, amber: FloatArray | None, red: FloatArray | None
) -> FloatArray:
    """Read a stack light sampled at common times; lamps are 0/1, NaN or None where not wired.

    Red wins over green, green over amber (green with amber is a running machine that wants
    attention). No lamp lit means waiting: whether there is power is another signal's word.
    """
    lamps = [lamp for lamp in (green, amber, red) if lamp is not None]
    if not lamps:
        return np.empty(0)
    dark = np.zeros_like(lamps[0])
    lit = [np.nan_to_num(dark if lamp is None else lamp) > 0.5 for lamp in (red, green)]
    cues = np.select(lit, [float(Cue.DOWN), float(Cue.CYCLING)], default=float(Cue.WAITING))
    unknown = np.all([np.isnan(lamp) for lamp in lamps], axis=0)
    return np.where(unknown, np.nan, cues)
