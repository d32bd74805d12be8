"""`python -m config.demo`: start everything, tell the story of two factories, go on live.

Without Django until the parts are up: their addresses are only known then.
"""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import structlog

from config.demo.diary import Diary
from config.demo.report import LinkFailed, Report, complain
from infra.local.failures import AlreadyRunning, Malformed, ServiceFailed
from infra.local.stack import Stack
from mlops.maintenance.run_to_failure import RunToFailure

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DAYS = 35.0  # weeks enough for several lives of each machine, and for a month to end and be paid
EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="run the chain and stop everything")
    parser.add_argument("--data", type=Path, help="replay recorded data instead of the simulator")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    report = Report()
    try:
        days = _days()
        return _run(options, report=report, days=days)
    except LinkFailed as failure:
        for line in report.summary():
            report.say(line)
        complain(f"The chain broke at {failure}")
    except ServiceFailed as failure:
        complain(f"{failure.service} failed: {failure}")
    except (Malformed, AlreadyRunning, ValueError) as error:
        complain(str(error))
    except KeyboardInterrupt:
        complain("Stopped.")
        return EXIT_INTERRUPTED
    return EXIT_FAILED


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _days() -> float:
    """Read how many days of history are told (TAKT_DEMO_DAYS).

    Raises:
        ValueError: not a number of days between 1 and 60.
    """
    text = os.environ.get("TAKT_DEMO_DAYS", str(DAYS))
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 1 <= days <= 60:
        raise ValueError(f"TAKT_DEMO_DAYS: {text!r} is not a number of days between 1 and 60")
    return days


def _run(options: argparse.Namespace, *, report: Report, days: float) -> int:
    began = time.monotonic()
    var = Path(os.environ.get("TAKT_VAR") or REPOSITORY / "var")
    os.environ["TAKT_MAILBOX"] = os.environ.get("TAKT_MAILBOX", "1")
    recording = None
    if options.data is not None:
        # Read before anything is started: a folder that cannot be replayed costs no waiting.
        from config.demo import recorded

        recording = recorded.choose(options.data)
    report.say("Starting Takt ...")
    with Stack(var=var, log=report.progress) as stack:
        os.environ.update(stack.env)
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        # What services log is for operators; here the report speaks.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        if recording is not None:
            return _replay(recording, options, var=var, report=report, began=began)
        return _tell(options, var=var, report=report, days=days, began=began)


def _replay(
    recording: RunToFailure,
    options: argparse.Namespace,
    *,
    var: Path,
    report: Report,
    began: float,
) -> int:
    from config.demo import replay

    replay.run(recording, var=var, report=report)
    _close(report, began)
    if not options.once:
        _wait(Diary.read(var / "demo.json"), report)
    return 0


def _tell(
    options: argparse.Namespace, *, var: Path, report: Report, days: float, began: float
) -> int:
    from django.conf import settings

    from config.demo import live
    from config.demo.chain import Chain

    diary = Diary.read(var / "demo.json")
    diary.base_url = settings.BASE_URL
    diary.ca_file = _shown(var / "ca.pem")
    days = float(diary.facts.setdefault("days", days))
    report.say(f"The portal answers at {settings.BASE_URL}; its factories are being filled ...")
    chain = Chain(
        diary=diary,
        report=report,
        base_url=settings.BASE_URL,
        ca_file=(var / "ca.pem"),
        days=days,
        retrain=options.once,
    )
    parts = chain.run()
    _close(report, began)
    if options.once:
        return 0
    _greet(diary, report)
    live.go_on(
        chain.live(parts),
        base_url=settings.BASE_URL,
        ca_file=var / "ca.pem",
        stop=threading.Event(),
        record=chain.recorder(parts),
        report=report,
    )
    return 0


def _close(report: Report, began: float) -> None:
    for line in report.summary():
        report.say(line)
    report.say(f"All of it took {time.monotonic() - began:.0f} s, with the start of everything.")


def _wait(diary: Diary, report: Report) -> None:
    _greet(diary, report)
    threading.Event().wait()


def _shown(path: Path) -> str:
    """Give a path the way the promise in the README does: relative to the repository."""
    resolved = path.resolve()
    if resolved.is_relative_to(REPOSITORY):
        return str(resolved.relative_to(REPOSITORY))
    return str(resolved)


def _greet(diary: Diary, report: Report) -> None:
    report.say("")
    report.say(f"Takt runs at {diary.base_url}  (its certificate is signed by {diary.ca_file})")
    for entry in diary.factories.values():
        report.say(f"  {entry.name}: {entry.url}")
        for role, login in entry.users.items():
            report.say(f"    {role:<9} {login['email']:<24} {login['password']}")
    report.say(
        f"Tokens and keys: {_shown(diary.path)}. The machines go on; Ctrl-C stops everything."
    )


if __name__ == "__main__":
    sys.exit(main())
