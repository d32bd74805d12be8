"""What the terminal is told: progress so that nothing looks hung, and one line a link."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# The chain, in order; each link is also the folder in which it lives or the promise it keeps.
LINKS = (
    "sign-up", "device", "telemetry", "model", "prediction", "inspection", "usage", "invoice",
)  # fmt: skip


class LinkFailed(Exception):
    """One link of the chain did not hold; the text says why."""

    def __init__(self, link: str, reason: str) -> None:
        super().__init__(f"{link}: {reason}")
        self.link = link
        self.reason = reason


def _print(line: str) -> None:
    print(line, flush=True)


@dataclass
class Report:
    """Collects the links of one run and prints as it goes."""

    say: Callable[[str], None] = _print
    links: tuple[str, ...] = LINKS
    held: dict[str, str] = field(default_factory=dict)

    def progress(self, text: str) -> None:
        """Say what is being done; on a terminal the line replaces the one before it."""
        self.say(f"  {text}")

    def hold(self, link: str, figure: str) -> None:
        """Report that a link of the chain held, with its figure."""
        self.held[link] = figure

    @contextmanager
    def link(self, name: str) -> Iterator[None]:
        """Name the link that fails when anything in the block does."""
        try:
            yield
        except LinkFailed:
            raise
        except Exception as error:  # whatever a link meets, the terminal names the link
            raise LinkFailed(name, f"{type(error).__name__}: {error}") from error

    def summary(self) -> list[str]:
        """Give one line for each link, held or not."""
        width = max(len(link) for link in self.links)
        return [
            f"{'ok    ' if link in self.held else 'FAILED'} {link:<{width}}  "
            f"{self.held.get(link, 'not reached')}"
            for link in self.links
        ]


@dataclass
class Ticker:
    """Says how far a long piece of work is, every few seconds; may be told by many threads."""

    report: Report
    what: str
    total: int
    every_s: float = 4.0
    _done: int = 0
    _started: float = field(default_factory=time.monotonic)
    _said: float = field(default_factory=time.monotonic)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def add(self, n: int) -> None:
        with self._guard:
            self._done += n
            now = time.monotonic()
            if now - self._said < self.every_s:
                return
            self._said = now
            rate = self._done / max(now - self._started, 0.001)
            self.report.progress(
                f"{self.what}: {self._done:,} of {self.total:,} ({rate:,.0f} a second)"
            )


def complain(text: str) -> None:
    """Say what went wrong on the error stream."""
    print(text, file=sys.stderr, flush=True)
