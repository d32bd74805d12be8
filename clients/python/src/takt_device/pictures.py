"""Pictures from a folder: sent once, oldest first, each when it is complete.

Speaks POST /api/v1/inspection-plans/{plan}/pictures, or `judge`. The server knows a picture by the
digest of its bytes: what is sent again, because an answer was lost, is not stored twice.
"""

from __future__ import annotations

import os
import random
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from takt_device import folders
from takt_device.clock import steady_s
from takt_device.courier import json_object, retry_after_s
from takt_device.ledger import REFUSED, SENT, Ledger, Outcome, Seen

MAX_BYTES = 25 * 2**20
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0
_FORGET_EVERY_S = 3600.0
# Nothing is wrong with the picture; who asks has no right to, or the plan is not there.
_STOPS = (401, 403, 404)
_REFUSES = (400, 409, 413, 415, 422)


class Stopped(Exception):
    """The server does not let us send at all: the key or the plan is wrong. All files stay."""


@dataclass(frozen=True)
class Told:
    """What the server said of one picture.

    Attributes:
        answer: its JSON: the picture, or with `judge` the verdict; empty where it refused.
        reason: why it refused, with its code.
    """

    name: str
    is_refused: bool
    answer: Mapping[str, Any]
    reason: str = ""


class PictureFolder:
    """Watches one folder for pictures of one inspection plan.

    What the server refuses is moved to the folder `refused` with a text that says why.

    Args:
        url: where Takt is, such as `https://takt.example`.
        key: an API key of the factory (`takt_api_...`).
        plan: the id of the inspection plan.
        judge: ask for a verdict on each picture instead of only storing it.
        move_to: where pictures go that were answered for; with `delete` they are removed; with
            neither they stay, and are not sent again.
        pattern: finds `lot` and `piece` in names: `(?P<lot>[^_]+)_(?P<piece>[0-9]+)`.
        settle_s: a file is complete when size and time have not changed for so long.
        state_path: the account of what was sent; in the folder, hidden, when not given.
        on_told: called with what the server said of each picture.

    Raises:
        QueueInUse: another process watches with this account.
    """

    def __init__(
        self, folder: str | PathLike[str], url: str, key: str, plan: str, *,
        judge: bool = False, move_to: str | PathLike[str] | None = None, delete: bool = False,
        pattern: str = "", settle_s: float = 2.0, state_path: str | PathLike[str] | None = None,
        ca_file: str | PathLike[str] | None = None, timeout_s: float = 60.0,
        on_told: Callable[[Told], None] | None = None,
    ) -> None:  # fmt: skip
        if move_to and delete:
            raise ValueError("pictures are moved or deleted, not both")
        self._folder = Path(folder).resolve(strict=True)
        self._move_to = Path(move_to).resolve() if move_to else None
        if self._move_to == self._folder:
            raise ValueError("pictures cannot be moved to where they are found")
        self._deletes, self._settle_s = delete, settle_s
        self._pattern = re.compile(pattern) if pattern else None
        self._on_told = on_told or (lambda _told: None)
        what = "judge" if judge else "pictures"
        self._url = f"{url.rstrip('/')}/api/v1/inspection-plans/{plan}/{what}"
        self._expects = "state" if judge else "id"
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            verify=ssl.create_default_context(cafile=str(ca_file) if ca_file else None),
        )
        self._ledger = Ledger(Path(state_path or self._folder / ".takt-pictures.db"))
        self._waiting: dict[Seen, float] = {}
        self._n_failures = 0
        self._not_before_s = 0.0
        self._forget_at_s = 0.0
        self.last_error = ""

    def __enter__(self) -> PictureFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        self._http.close()
        self._ledger.close()

    def counts(self) -> dict[str, int]:
        """Return how many pictures were sent and refused since the account was begun."""
        return self._ledger.counts()

    def run(self, stop: threading.Event, *, every_s: float = 1.0) -> None:
        """Send what comes until `stop` is set.

        Raises:
            Stopped: the server does not let us send.
        """
        while not stop.is_set():
            try:
                n_done = self.step()
            except OSError as error:  # a share that is away, a full disk: it may come back
                self._wait_longer(f"{type(error).__name__}: {error}")
                n_done = 0
            if not n_done:
                stop.wait(max(every_s, self._not_before_s - steady_s()))

    def step(self) -> int:
        """Send every picture that is complete now; return how many were dealt with.

        It ends early when the server is away; a later call goes on.

        Raises:
            Stopped: the server does not let us send.
        """
        n_done = 0
        for seen in self._complete():
            if steady_s() < self._not_before_s:
                break
            n_done += self._deal_with(seen)
        return n_done

    # -- inside --------------------------------------------------------------------------------

    def _complete(self) -> list[Seen]:
        """Return the pictures that have not changed for a while, oldest first."""
        now_s = steady_s()
        if now_s >= self._forget_at_s:
            self._ledger.forget_absent(self._folder)
            self._forget_at_s = now_s + _FORGET_EVERY_S
        found = folders.pictures_in(self._folder, is_done=self._is_done)
        self._waiting = {seen: self._waiting.get(seen, now_s) for seen in found}
        return [seen for seen in found if now_s - self._waiting[seen] >= self._settle_s]

    def _is_done(self, seen: Seen) -> bool:
        """Say whether nothing is left to do with a picture that was answered for."""
        outcome = self._ledger.outcome(seen)
        return outcome is not None and outcome.what == SENT and not self._puts_away

    @property
    def _puts_away(self) -> bool:
        return self._deletes or self._move_to is not None

    def _deal_with(self, seen: Seen) -> bool:
        outcome = self._ledger.outcome(seen) or self._sent(seen)
        if outcome is None or not folders.is_unchanged(self._folder, seen):
            return False
        if outcome.what == REFUSED:
            self._set_aside(seen, outcome.reason)
        elif self._deletes:
            os.unlink(self._folder / seen.name)
        elif self._move_to is not None:
            folders.move(self._folder, seen.name, folders.own_folder(self._move_to))
        return True

    def _sent(self, seen: Seen) -> Outcome | None:
        """Send a picture and write down what was said; None when nothing was decided."""
        if seen.size > MAX_BYTES:
            return self._decided(seen, {}, f"too_large: more than {MAX_BYTES // 2**20} MB")
        try:
            content = folders.read(self._folder, seen)
        except folders.Changed:
            return None
        except OSError as error:  # not ours to read, or locked by who writes it: the others go on
            self.last_error = f"{folders.shown(seen.name)}: {error.strerror or error}"
            return None
        try:
            response = self._http.post(
                self._url, content=content, params=self._said(seen),
                headers={"Content-Type": folders.kind_of(seen.name) or ""},
            )  # fmt: skip
        except httpx.HTTPError as error:
            self._wait_longer(f"no answer: {error or type(error).__name__}")
            return None
        return self._understood(seen, response)

    def _said(self, seen: Seen) -> dict[str, str]:
        taken_at = _EPOCH + timedelta(microseconds=seen.mtime_ns // 1000)
        name = folders.shown(seen.name)
        said = {"name": name, "source": "folder", "taken_at": taken_at.isoformat()}
        found = self._pattern.search(name) if self._pattern else None
        named = found.groupdict() if found else {}
        return {**said, **{k: v for k, v in named.items() if k in ("lot", "piece") and v}}

    def _understood(self, seen: Seen, response: httpx.Response) -> Outcome | None:
        found = json_object(response)
        code, message = str(found.get("code", "")), str(found.get("message", ""))
        if response.status_code in (200, 201) and self._expects in found:
            return self._decided(seen, found)
        # A refusal counts only in Takt's words: a proxy on the way knows nothing of pictures.
        if code and response.status_code in _STOPS:
            raise Stopped(f"{response.status_code}: {message}")
        if code and response.status_code in _REFUSES:
            return self._decided(seen, {}, f"{code}: {message}")
        self._wait_longer(
            f"{response.status_code}: {message or response.reason_phrase}",
            retry_after_s(response.headers),
        )
        return None

    def _decided(self, seen: Seen, answer: Mapping[str, Any], reason: str = "") -> Outcome:
        outcome = Outcome(REFUSED if reason else SENT, reason)
        self._ledger.note(seen, outcome)
        self._n_failures = 0
        self.last_error = ""
        self._on_told(Told(folders.shown(seen.name), bool(reason), answer, reason))
        return outcome

    def _set_aside(self, seen: Seen, reason: str) -> None:
        refused = folders.own_folder(self._folder / "refused")
        folders.move(self._folder, seen.name, refused, note=reason)

    def _wait_longer(self, why: str, wait_s: float = 0.0) -> None:
        """Wait longer each time, by chance: all gateways of a plant must not come back at once."""
        longest_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**self._n_failures)
        self._n_failures = min(self._n_failures + 1, 20)
        self._not_before_s = steady_s() + wait_s + longest_s * random.uniform(0.5, 1.0)  # noqa: S311
        self.last_error = why
