"""Outlive the process that started everything and clean up if it dies without doing so.

Run as `python -m infra.local.watchdog MARK DIRECTORY...`. Standard input is a pipe from the
starter: the byte `q` means that all has been stopped in order; its end without that byte means
that the starter was killed. The lock on the folder is inherited, so that nobody starts the
parts again while the old ones are being ended.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.local import processes

_ROOT = Path(__file__).resolve().parents[2]


class Watchdog:
    """The starter's end of the pipe."""

    def __init__(self, *, mark: str, directories: Sequence[Path], lock_fd: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.watchdog", mark, *map(str, directories)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock_fd,),
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Tell it that nothing is left to clean up and wait until it is gone."""
        if self._process.poll() is None:
            self._process.communicate(b"q")


def main(mark: str, *directories: str) -> None:
    """Wait for the starter's end, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read() != b"q":
        processes.end_all(mark=mark, directories=[Path(each) for each in directories])


if __name__ == "__main__":
    main(*sys.argv[1:])
