"""One factory floods, another goes on as ever: what the flood costs it.

The quiet factory's 8 devices send a reading every 50 ms each; the flooding one sends batches of
500 readings on 16 connections as fast as they are answered, and its plan allows it to.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tests.bench import load

ALONE, DURING = "quiet_alone", "quiet_in_flood"
FACTORIES = {"quiet": 8, "flood": 16}
_QUIET_EVERY_S = 0.05
# The flood is under way before the quiet factory is measured, and after.
_LEAD_S = 1.0


def runners(
    *, port: int, path: str, tokens: Mapping[str, list[str]]
) -> Iterator[tuple[str, Callable[[float, str], load.Result]]]:
    """Return the quiet factory's stretch without and with the flood."""

    def plan(seconds: float, first_at: str) -> load.Plan:
        return load.Plan(
            port=port,
            path=path,
            tokens=tokens["quiet"],
            n_connections=FACTORIES["quiet"],
            batch=1,
            seconds=seconds,
            first_at=first_at,
            every_s=_QUIET_EVERY_S,
        )

    def alone(seconds: float, first_at: str) -> load.Result:
        return load.run(plan(seconds, first_at))

    def during(seconds: float, first_at: str) -> load.Result:
        quiet = plan(seconds, first_at)
        flood = load.start(
            replace(
                quiet,
                tokens=tokens["flood"],
                n_connections=FACTORIES["flood"],
                batch=500,
                seconds=seconds + 2 * _LEAD_S,
                every_s=0.0,
            )
        )
        try:
            time.sleep(_LEAD_S)
            return load.run(quiet)
        finally:
            load.finish(flood, timeout_s=seconds + 60)

    yield ALONE, alone
    yield DURING, during
