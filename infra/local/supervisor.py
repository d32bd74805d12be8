"""Look after the children a few times a second and decide how soon a dead one may come back."""

from __future__ import annotations

import threading
from collections.abc import Callable

_LOOK_EVERY_S = 0.2
_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 8.0
# After so long a life a death counts as the first one again.
_STABLE_AFTER_S = 60.0


class Supervisor:
    """Calls `look` until it is stopped, in a thread of its own."""

    def __init__(self, look: Callable[[], None], *, log: Callable[[str], None]) -> None:
        self._look = look
        self._log = log
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._deaths: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    @property
    def is_running(self) -> bool:
        """Say whether dead parts are being restarted now."""
        return self._thread is not None and not self._ending.is_set()

    def start(self) -> None:
        """Begin to look."""
        self._ending.clear()
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more; returns when the last look is over."""
        self._ending.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None

    def may_restart(self, name: str, *, now: float) -> bool:
        """Say whether a dead part may be started now, and count it if so.

        The first restart is nearly immediate; each further one waits twice as long, up to 8 s.
        """
        due = self._not_before.get(name)
        if due is not None and now < due:
            return False
        if due is None or now > due + _STABLE_AFTER_S:
            self._deaths[name] = 0
        delay = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** self._deaths[name])
        self._deaths[name] += 1
        self._not_before[name] = now + delay
        return True

    def _loop(self) -> None:
        while not self._ending.wait(_LOOK_EVERY_S):
            try:
                self._look()
            except Exception as error:  # a full disk must not end the care for the other parts
                self._log(f"supervisor: {error!r}")
