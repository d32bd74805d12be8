"""What can go wrong while the parts are started, in words for the person at the terminal."""

from __future__ import annotations


class ServiceFailed(Exception):
    """A part did not start, stopped at once or does not answer."""

    def __init__(self, service: str, reason: str, log_tail: str = "") -> None:
        self.service = service
        self.reason = reason
        self.log_tail = log_tail
        text = f"{service}: {reason}"
        if log_tail:
            text += "\n" + "\n".join(f"  | {line}" for line in log_tail.splitlines())
        super().__init__(text)


class Malformed(Exception):
    """An environment variable holds something that cannot be what it stands for."""

    def __init__(self, variable: str, reason: str) -> None:
        self.variable = variable
        self.reason = reason
        super().__init__(f"{variable}: {reason}")


class AlreadyRunning(Exception):
    """Another process has started the parts of this folder."""

    def __init__(self, var: str, pid: int | None) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{var} is in use by {who}; stop it with Ctrl-C there or `python -m infra.local down`."
        )
