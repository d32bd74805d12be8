"""The command `takt-pictures`: watch a folder and send the pictures that come into it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from takt_device.files import QueueInUse
from takt_device.pictures import PictureFolder, Stopped, Told


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="takt-pictures",
        description="Send the pictures of a folder to an inspection plan of Takt. The API key is "
        "read from --key-file or the variable TAKT_API_KEY, never from the command line, which "
        "everybody on the machine may read.",
    )
    parser.add_argument("--folder", required=True, help="the folder to watch")
    parser.add_argument("--url", required=True, help="where Takt is: https://takt.example")
    parser.add_argument("--plan", required=True, help="id of the inspection plan")
    parser.add_argument("--key-file", help="file with an API key of the factory")
    parser.add_argument("--ca", help="the authority behind the server's certificate")
    parser.add_argument("--judge", action="store_true", help="ask for a verdict on each picture")
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--move-to", help="where pictures go that were answered for")
    after.add_argument("--delete", action="store_true", help="remove them instead")
    parser.add_argument("--pattern", default="", help="finds (?P<lot>...) and (?P<piece>...)")
    parser.add_argument("--settle-s", type=float, default=2.0, help="unchanged so long: complete")
    parser.add_argument("--every-s", type=float, default=1.0, help="look so often")
    parser.add_argument("--state", help="file of the account; hidden in the folder if not given")
    parser.add_argument("--once", action="store_true", help="send what is there, then end")
    return parser


def _tell(told: Told) -> None:
    """Write one line of JSON for each picture, for whoever acts on verdicts."""
    said = {"name": told.name, "refused": told.reason} if told.is_refused else {
        "name": told.name,
        **{k: told.answer[k] for k in ("id", "verdict", "state", "score", "limit")
           if k in told.answer},
    }  # fmt: skip
    print(json.dumps(said), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when it was told to end, 2 when it cannot go on, with the cause."""
    asked = _parser().parse_args(arguments)
    key = os.environ.get("TAKT_API_KEY", "")
    try:
        if asked.key_file:
            key = Path(asked.key_file).read_text(encoding="utf-8").strip()
        if not key:
            return _fail("give an API key: --key-file or TAKT_API_KEY")
        with PictureFolder(
            asked.folder, asked.url, key, asked.plan, judge=asked.judge, move_to=asked.move_to,
            delete=asked.delete, pattern=asked.pattern, settle_s=asked.settle_s,
            state_path=asked.state, ca_file=asked.ca, on_told=_tell,
        ) as folder:  # fmt: skip
            return _once(folder, asked.settle_s) if asked.once else _watch(folder, asked.every_s)
    except (Stopped, QueueInUse, OSError, ValueError) as error:
        return _fail(str(error))


def _once(folder: PictureFolder, settle_s: float) -> int:
    folder.step()  # to see which files there are
    time.sleep(settle_s)
    folder.step()
    return _fail(folder.last_error) if folder.last_error else 0


def _watch(folder: PictureFolder, every_s: float) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    folder.run(stop, every_s=every_s)
    return 0


def _fail(why: str) -> int:
    print(f"takt-pictures: {why}", file=sys.stderr)
    return 2
