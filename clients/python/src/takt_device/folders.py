"""Files of a folder: found when they are complete, read without leaving it, moved without loss."""

from __future__ import annotations

import heapq
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from takt_device.ledger import Seen

KINDS = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".bmp": "image/bmp",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp",
}  # fmt: skip
_NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f]")
# So many files are looked after at a time, the oldest; the others are found when those are done.
_AT_A_TIME = 1000


class Changed(Exception):
    """The file is not any more what was found: it is being written, or was replaced."""


def kind_of(name: str) -> str | None:
    """Return the content type that a name stands for; None for no picture, or a hidden file."""
    return None if name.startswith(".") else KINDS.get(os.path.splitext(name)[1].lower())


def shown(name: str) -> str:
    """Return a name as text that can be sent and written down."""
    return _NOT_PLAIN.sub("", name.encode("utf-8", "replace").decode())


def pictures_in(folder: Path, *, is_done: Callable[[Seen], bool]) -> list[Seen]:
    """Return the oldest pictures of the folder itself that are not done, oldest first; no links."""
    left = (seen for seen in _found(folder) if not is_done(seen))
    return heapq.nsmallest(_AT_A_TIME, left, key=lambda seen: (seen.mtime_ns, seen.name))


def _found(folder: Path) -> Iterator[Seen]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if kind_of(entry.name) is None:
                continue
            try:
                if entry.is_file(follow_symlinks=False):
                    yield _seen(entry.name, os.lstat(entry.path))
            except OSError:  # gone, or not readable yet: the next look decides
                continue


def _seen(name: str, found: os.stat_result) -> Seen:
    return Seen(name, found.st_size, found.st_mtime_ns)


def is_unchanged(folder: Path, seen: Seen) -> bool:
    """Say whether the file is still there as it was found."""
    try:
        found = os.lstat(folder / seen.name)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and _seen(seen.name, found) == seen


def read(folder: Path, seen: Seen) -> bytes:
    """Return the content of a file that is still what was found.

    Raises:
        Changed: it is not; a link that took its place is not followed.
        OSError: it cannot be read.
    """
    if not is_unchanged(folder, seen):
        raise Changed(seen.name)
    # A pipe that took the file's place must not make us wait for its writer.
    flags = os.O_RDONLY
    for extra in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
        flags |= getattr(os, extra, 0)
    with os.fdopen(os.open(folder / seen.name, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Changed(seen.name)
        content = file.read(seen.size + 1)
        if _seen(seen.name, os.fstat(file.fileno())) != seen or len(content) != seen.size:
            raise Changed(seen.name)
    return content


def own_folder(path: Path) -> Path:
    """Return a folder of ours, made when missing.

    Raises:
        NotADirectoryError: something else, such as a link, has its name.
    """
    path.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        raise NotADirectoryError(f"{path} is a link")
    return path


def move(folder: Path, name: str, target: Path, *, note: str = "") -> None:
    """Move a file into another folder, under a name that is free there.

    With a `note` a text of the same name and `.txt` lies beside it. Nothing is written over, and
    no link is followed.
    """
    stem, suffix = os.path.splitext(name)
    free, n = name, 1
    while any(os.path.lexists(target / taken) for taken in (free, f"{free}.txt")):
        n += 1
        free = f"{stem}-{n}{suffix}"
    if note:
        with (target / f"{free}.txt").open("x", encoding="utf-8") as text:
            text.write(note + "\n")
    shutil.move(str(folder / name), str(target / free))
