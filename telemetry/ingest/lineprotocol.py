"""InfluxDB's line protocol to readings.

    measurement[,tag=value...] field=value[,field=value...] [timestamp]

Syntax: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/

The device is the token's, so what remains of a line's names is the key of each value:

    machine,host=gw7 load=58.2                  machine.load          (the tag host is left out)
    cpu,cpu=cpu0,host=gw7 usage_idle=97.1       cpu.usage_idle{cpu=cpu0}
    temperature value=21.5                      temperature           (a field called value)

Lines of one time become one reading, as Telegraf means them, unless they give a key twice.
"""

import re
from collections.abc import Iterator

from telemetry.ingest.decoding import (
    MANY,
    Decoded,
    ItemRefused,
    ServerTimes,
    Value,
    check_count,
    numbers_are_plain,
)
from telemetry.ingest.salvaging import (
    bad_time,
    check_key,
    check_time,
    check_value,
    parse_int,
    shown,
)

# Microseconds of one unit; nanoseconds are divided.
PRECISIONS = {
    "ns": 0, "n": 0, "us": 1, "u": 1, "µs": 1, "µ": 1, "ms": 1_000, "s": 1_000_000,
    "m": 60_000_000, "h": 3_600_000_000,
}  # fmt: skip
_MIN_US = 100_000_000_000_000  # March 1973: before it, the precision is not what was meant
# A quoted text may hold line ends; so many lines are tried as one.
_MAX_JOINED = 16
_SERIES_TAGS_LEFT_OUT = frozenset({"host"})

_HEAD = re.compile(r"((?:[^, \n\\]|\\.)+)((?:,(?:[^,= \n\\]|\\.)+=(?:[^,= \n\\]|\\.)+)*)(?: +|$)")
_TAG = re.compile(r",((?:[^,=\\]|\\.)+)=((?:[^,=\\]|\\.)+)")
_FIELD = re.compile(
    r'((?:[^,= \n\\]|\\.)+)=("(?:[^"\\]|\\.)*"|[^, \n"]+)(,(?=[^ ,])| +|$)', re.DOTALL
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
_NAME_ESCAPE = re.compile(r"\\([,= ])")
_TEXT_ESCAPE = re.compile(r'\\(["\\])')
_ANY_ESCAPE = re.compile(r"\\.")
_BOOLEANS = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), False),
}


def decode(body: bytes, *, unit_us: int, now_us: int, server_times: ServerTimes) -> Decoded:
    """Decode every line; what is wrong is rejected under the index of its line.

    `unit_us` is a value of `PRECISIONS`.

    Raises:
        RequestRefused: 413 when the request holds too many lines.
    """
    out = Decoded()
    indexes: list[int] = []
    parser = _Parser(unit_us, now_us)
    places: dict[int, int] = {}  # time: position of the newest reading of this time
    for n_lines, (index, line) in enumerate(_lines(body), start=1):
        check_count(n_lines)
        try:
            time_us, values = parser.reading(line)
        except ItemRefused as refusal:
            out.rejected.append(refusal.rejection(index, line))
            continue
        if time_us is None:
            time_us = server_times.next(now_us)
        position = places.get(time_us)
        if position is not None and out.values[position].keys().isdisjoint(values):
            out.values[position].update(values)
            continue
        places[time_us] = len(out.times)
        indexes.append(index)
        out.times.append(time_us)
        out.values.append(values)
    out.indexes = indexes
    out.n_received = len(out.times) + len(out.rejected)
    if len(out.values) >= MANY:
        numbers_are_plain(out)
    return out


def _lines(body: bytes) -> Iterator[tuple[int, str]]:
    """The lines that hold something, with their number from 0; texts with line ends are whole."""
    # What is not UTF-8 becomes a half character, which is refused where it stands.
    lines = body.decode(errors="surrogateescape").split("\n")
    index = 0
    while index < len(lines):
        line, n_joined = lines[index], 1
        if '"' in line and _is_open(line):
            line, n_joined = _joined(lines, index)
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield index, stripped
        index += n_joined


def _is_open(line: str) -> bool:
    """Say whether a quoted text begins in the line and does not end there."""
    return _ANY_ESCAPE.sub("", line).count('"') % 2 == 1


def _joined(lines: list[str], index: int) -> tuple[str, int]:
    """The text goes on in the next lines; where it never ends, the line stands alone."""
    for end in range(index + 2, min(index + _MAX_JOINED, len(lines)) + 1):
        line = "\n".join(lines[index:end])
        if not _is_open(line):
            return line, end - index
    return lines[index], 1


class _Parser:
    """Lines of one request; remembers the names it has put together."""

    def __init__(self, unit_us: int, now_us: int) -> None:
        self._unit_us = unit_us
        self._now_us = now_us
        self._keys: dict[tuple[str, str], str] = {}

    def reading(self, line: str) -> tuple[int | None, dict[str, Value]]:
        """Return time (None: not given) and values of a line, or raise ItemRefused."""
        if "\\" in line or '"' in line:
            head, fields, stamp = _split_carefully(line)
        else:
            head, fields, stamp = _split(line)
        values: dict[str, Value] = {}
        for name, text in fields:
            key = self._keys.get((head, name))
            if key is None:
                key = self._keys[head, name] = _key(head, name)
            values[key] = _value(key, text)
        return self._time(stamp), values

    def _time(self, stamp: str) -> int | None:
        if not stamp:
            return None
        number = parse_int(stamp) if _WHOLE.fullmatch(stamp) else None
        if not isinstance(number, int):
            bad_time(f"{stamp[:40]!a} is not a whole number")
        time_us = number * self._unit_us if self._unit_us else number // 1_000
        if 0 <= time_us < _MIN_US:
            bad_time(f"{stamp} lies near 1970; is the precision of the request right?")
        return check_time(time_us, self._now_us)


def _split(line: str) -> tuple[str, list[tuple[str, str]], str]:
    """Cut a line without escapes and quotes."""
    parts = [part for part in line.split(" ") if part]
    if not 2 <= len(parts) <= 3:
        raise _malformed("missing fields" if len(parts) < 2 else "text after the timestamp")
    fields = []
    for field in parts[1].split(","):
        name, _, text = field.partition("=")
        if not name or not text:
            raise _malformed(f"a field is name=value, found {shown(field)}")
        fields.append((name, text))
    return parts[0], fields, parts[2] if len(parts) == 3 else ""


def _split_carefully(line: str) -> tuple[str, list[tuple[str, str]], str]:
    head = _HEAD.match(line)
    if head is None or not line[head.end() :]:
        raise _malformed("missing fields" if head else "measurement or tags are not well-formed")
    fields = []
    position = head.end()
    while True:
        field = _FIELD.match(line, position)
        if field is None:
            raise _malformed(f"a field is name=value, found {shown(line[position:])}")
        fields.append((field[1], field[2]))
        position = field.end()
        if field[3] != ",":
            break
    return head[0].rstrip(" "), fields, line[position:].strip()


def _key(head: str, field: str) -> str:
    """The key of a field: measurement.field{tags}."""
    match = _HEAD.fullmatch(head)
    if match is None:
        raise _malformed("measurement or tags are not well-formed")
    name = _name(match[1])
    if field != "value":
        name = f"{name}.{_name(field)}"
    tags = sorted((_name(tag[1]), _name(tag[2])) for tag in _TAG.finditer(match[2]))
    listed = ",".join(f"{k}={v}" for k, v in tags if k not in _SERIES_TAGS_LEFT_OUT)
    return check_key(f"{name}{{{listed}}}" if listed else name)


def _name(text: str) -> str:
    return _NAME_ESCAPE.sub(r"\1", text) if "\\" in text else text


def _value(key: str, text: str) -> Value:
    if _NUMBER.fullmatch(text):
        number = float(text)
        # The common case; the rest is looked at closely.
        return number if -1e15 < number < 1e15 else check_value(key, number)
    if text[:1] == '"':
        if len(text) < 2 or text[-1] != '"':
            raise _malformed(f"the text of {shown(key)} does not end")
        return check_value(key, _TEXT_ESCAPE.sub(r"\1", text[1:-1]))
    if text[-1] in "iu" and _WHOLE.fullmatch(text[:-1]):
        if text[-1] == "u" and text[0] == "-":
            raise _malformed(f"{shown(text)} is no unsigned number")
        return check_value(key, parse_int(text[:-1]))
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise ItemRefused("not_finite", f"The value of {shown(key)} is not a finite number.")
    raise ItemRefused(
        "malformed",
        f"The value of {shown(key)} is {shown(text)}: neither a number, 1i, 1u, true, false "
        'nor "text".',
    )


def _malformed(message: str) -> ItemRefused:
    return ItemRefused("malformed", f"The line cannot be read: {message}.")
