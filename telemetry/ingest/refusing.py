"""What was refused of a device, written down beside the counters, in their transaction.

So received = stored + duplicates + the sum of `refusal_count`, always. What a device sent
travels as Base64 of JSON: no character of it is ever part of a statement.
"""

# ruff: noqa: S608  schema names come from an allow-list, the rest is Base64

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from telemetry.ingest import limits
from telemetry.ingest.decoding import Rejection
from telemetry.ingest.planning import Submission

_ENCODE = msgspec.json.Encoder().encode


def statements(submissions: Sequence[Submission]) -> str:
    """SQL, statements with semicolons between, that counts and keeps what was refused.

    All submissions are of one factory.
    """
    by_device: dict[int, list[Rejection]] = {}
    for submission in submissions:
        by_device.setdefault(submission.device.id, []).extend(submission.rejected)
    schema = f'"{submissions[0].device.factory.schema}"'
    counts: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for device_id, rejected in sorted(by_device.items()):
        messages = {rejection.code: rejection.message for rejection in rejected}
        for code, n in sorted(Counter(rejection.code for rejection in rejected).items()):
            counts.append({"d": device_id, "c": code, "n": n, "m": _clean(messages[code])})
        items += [
            {"d": device_id, "c": r.code, "m": _clean(r.message), "i": _clean(r.item)}
            for r in rejected[-limits.MAX_REFUSED_KEPT :]
        ]
    return ";".join(
        (
            count_statement(f"{schema}.refusal_count", counts),
            _keep_statement(schema, items),
            _prune_statement(schema, by_device),
        )
    )


def count_statement(table: str, counts: list[dict[str, Any]]) -> str:
    """SQL that adds {d: device, c: code, n: how many, m: the last message}, sorted, to a table."""
    return f"""
INSERT INTO {table} AS t (device_id, code, n, last_at, last_message)
SELECT d, c, n, clock_timestamp(), m FROM {_records(counts)} AS r(d int, c text, n bigint, m text)
ON CONFLICT (device_id, code) DO UPDATE SET
    n = t.n + excluded.n, last_at = excluded.last_at, last_message = excluded.last_message"""


def _keep_statement(schema: str, items: list[dict[str, Any]]) -> str:
    return f"""
INSERT INTO {schema}.refused_reading (device_id, at, code, message, item)
SELECT d, clock_timestamp(), c, m, i FROM {_records(items)} AS r(d int, c text, m text, i text)"""


def _prune_statement(schema: str, device_ids: Iterable[int]) -> str:
    """Of each device the newest stay. The rows that go are found by the index on its times."""
    ids = ",".join(map(str, device_ids))
    return f"""
DELETE FROM {schema}.refused_reading WHERE id IN (
    SELECT old.id FROM unnest('{{{ids}}}'::int[]) AS d(device_id), LATERAL (
        SELECT id FROM {schema}.refused_reading r WHERE r.device_id = d.device_id
        ORDER BY at DESC, id DESC OFFSET {limits.MAX_REFUSED_KEPT}
    ) AS old
)"""


def _records(rows: list[dict[str, Any]]) -> str:
    encoded = b64encode(_ENCODE(rows)).decode()
    return f"jsonb_to_recordset(convert_from(decode('{encoded}', 'base64'), 'UTF8')::jsonb)"


def _clean(text: str) -> str:
    """What a PostgreSQL text can hold: no NUL, no half of a character."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()
