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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog

from config.demo.diary import Diary
from config.demo.gateway import Gateway
from config.demo.report import LinkFailed, Report, complain
from infra.local.failures import AlreadyRunning, Malformed, ServiceFailed
from infra.local.stack import SERVICES, Stack
from mlops.maintenance.run_to_failure import RunToFailure

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DAYS = 35.0  # weeks enough for several lives of each machine, and for a month to end and be paid
HEALTH_TIMEOUT_S = 5.0
EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Run:
    """What this run is asked to do, and where."""

    var: Path
    report: Report
    once: bool
    recording: RunToFailure | None
    days: float
    only: str
    began: float

    @property
    def ca_file(self) -> Path:
        return self.var / "ca.pem"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="run the chain and stop everything")
    parser.add_argument("--data", type=Path, help="replay recorded data instead of the simulator")
    options = parser.parse_args(arguments)
    # A shell starts what it runs in the background with Ctrl-C's signal ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    report = Report()
    try:
        return _start(_asked(options, report))
    except LinkFailed as failure:
        for line in report.summary():
            report.say(line)
        complain(f"The chain broke at {failure}")
    except ServiceFailed as failure:
        complain(f"Takt could not start. {failure}")
    except (Malformed, AlreadyRunning, ValueError) as error:
        complain(str(error))
    except KeyboardInterrupt:
        complain("Stopped.")
        return EXIT_INTERRUPTED
    return EXIT_FAILED


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _asked(options: argparse.Namespace, report: Report) -> Run:
    """Read everything before anything is started: what cannot be done costs no waiting.

    Raises:
        ValueError: the folder cannot be replayed, or an environment variable cannot be used.
    """
    recording = None
    if options.data is not None:
        from config.demo import recorded

        recording = recorded.choose(options.data)
    return Run(
        var=Path(os.environ.get("TAKT_VAR") or REPOSITORY / "var"),
        report=report,
        once=options.once,
        recording=recording,
        days=_days(os.environ.get("TAKT_DEMO_DAYS", str(DAYS))),
        only=os.environ.get("TAKT_DEMO_ONLY", ""),
        began=time.monotonic(),
    )


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 1 <= days <= 60:
        raise ValueError(f"TAKT_DEMO_DAYS: {text!r} is not a number of days between 1 and 60")
    return days


def _start(run: Run) -> int:
    os.environ.setdefault("TAKT_MAILBOX", "1")
    run.report.say("Starting Takt ...")
    with Stack(var=run.var, log=run.report.progress) as stack:
        os.environ.update(stack.env)
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        # What services log is for operators; here the report speaks.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        try:
            _tell(run) if run.recording is None else _replay(run, run.recording)
        except LinkFailed:
            # A link may have broken because a part did: say which, while it can be asked.
            for failure in _ailing(stack):
                complain(failure)
            raise
        if not run.once:
            return 0
        ailing = _ailing(stack)
        for failure in ailing:
            complain(failure)
        return EXIT_FAILED if ailing else 0


def _ailing(stack: Stack) -> list[str]:
    """Ask every part whether it does its work; return what is said of those that do not."""
    out = []
    for service in SERVICES:
        try:
            stack.wait_healthy(service, HEALTH_TIMEOUT_S)
        except KeyError:
            continue  # replaced by an address: not ours to watch
        except ServiceFailed as failure:
            out.append(f"{failure.service} failed: {failure.reason}")
    return out


def _replay(run: Run, recording: RunToFailure) -> None:
    from config.demo import replay

    replay.run(recording, diary=_diary(run), report=run.report, ca_file=run.ca_file)
    _close(run)
    if not run.once:
        _greet(run)
        _until_interrupted(threading.Event().wait)


def _tell(run: Run) -> None:
    from config.demo import live
    from config.demo.chain import Chain, inspect

    diary = _diary(run)
    run.report.say(f"The portal answers at {diary.base_url}; its factories are being filled ...")
    chain = Chain(
        diary=diary,
        report=run.report,
        device_url=diary.device_url,
        ca_file=run.ca_file,
        days=float(diary.facts.setdefault("days", run.days)),
        retrain=run.once,
        only=run.only,
    )
    parts = chain.run()
    _close(run)
    if run.once:
        return
    _greet(run)
    machines = chain.live(parts)
    with Gateway(base_url=diary.device_url, ca_file=run.ca_file) as gateway:
        _until_interrupted(
            lambda: live.go_on(
                machines,
                gateway=gateway,
                stop=threading.Event(),
                record=chain.recorder(parts),
                inspect=lambda now: inspect(parts, now=now),
                report=run.report,
            )
        )


def _until_interrupted(live_on: Callable[[], object]) -> None:
    """Ctrl-C is how a demonstration ends well."""
    try:
        live_on()
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)


def _diary(run: Run) -> Diary:
    from django.conf import settings

    diary = Diary.read(run.var / "demo.json")
    diary.base_url, diary.ca_file = settings.BASE_URL, _shown(run.ca_file)
    diary.device_url = settings.DEVICE_URL
    return diary


def _close(run: Run) -> None:
    for line in run.report.summary():
        run.report.say(line)
    took_s = time.monotonic() - run.began
    run.report.say(f"All of it took {took_s:.0f} s, with the start of everything.")


def _shown(path: Path) -> str:
    """Give a path the way the README promises it: relative to the repository."""
    resolved = path.resolve()
    if resolved.is_relative_to(REPOSITORY):
        return str(resolved.relative_to(REPOSITORY))
    return str(resolved)


def _greet(run: Run) -> None:
    diary, say = _diary(run), run.report.say
    say("")
    say(f"Takt runs at {diary.base_url} (certificate authority: {diary.ca_file})")
    for entry in diary.factories.values():
        say(f"  {entry.name}: {entry.url}")
        for role, login in entry.users.items():
            say(f"    {role:<9} {login['email']:<28} {login['password']}")
    say(f"  Takt's own staff: {diary.base_url}/staff/")
    say(f"    {'staff':<9} {diary.staff['email']:<28} {diary.staff['password']}")
    say(f"Tokens and keys are in {_shown(diary.path)}. Ctrl-C stops everything.")


if __name__ == "__main__":
    sys.exit(main())
