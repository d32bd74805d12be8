"""Where the items of a JSON body begin and end, found without understanding what is in them.

Nothing here recurses into what was sent, so that depth costs nothing.
"""

import re

from telemetry.ingest.errors import RequestRefused

# A string, or a bracket, or a comma: all that is needed to find where items begin and end,
# at any depth of nesting and without understanding what is between.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_READINGS = re.compile(rb"\s*:\s*\[")


def split_items(body: bytes) -> list[bytes]:
    """Cut a body into its items: the elements of the list, or the one object.

    Raises:
        RequestRefused: 400, the brackets do not balance or it is neither list nor object.
    """
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if text[:1] == b"[":
        items, end = _list_items(text, 0)
    elif text[:1] == b"{":
        start = _readings_start(text)
        if start is None:
            return [text]
        items, _ = _list_items(text, start)
        end = len(text)
    else:
        raise _malformed("The body is neither a JSON object nor a JSON list.")
    if end != len(text):
        raise _malformed("There is text after the end of the list.")
    return items


def _list_items(text: bytes, start: int) -> tuple[list[bytes], int]:
    items: list[bytes] = []
    depth = 0
    item_start = start + 1
    for token in _TOKEN.finditer(text, start):
        char = token.group()
        if char == b"," and depth == 1:
            items.append(text[item_start : token.start()].strip())
            item_start = token.end()
        elif char in (b"[", b"{"):
            depth += 1
        elif char in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                last = text[item_start : token.start()].strip()
                if last or items:
                    items.append(last)
                return items, token.end()
    raise _malformed("The JSON is cut off: the list of readings does not end.")


def _readings_start(text: bytes) -> int | None:
    depth = 0
    for token in _TOKEN.finditer(text):
        char = token.group()
        if char in (b"[", b"{"):
            depth += 1
        elif char in (b"]", b"}"):
            depth -= 1
        elif depth == 1 and char == b'"readings"':
            match = _READINGS.match(text, token.end())
            if match:
                return match.end() - 1
    if depth != 0:
        raise _malformed("The JSON is cut off: brackets are not closed.")
    return None


def _malformed(message: str) -> RequestRefused:
    return RequestRefused(400, "malformed_json", message)
