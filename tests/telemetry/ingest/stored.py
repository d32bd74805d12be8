"""What lies in the tables, read without our own reader."""

import math

from telemetry import packing
from tests.telemetry.ingest.conftest import Sender


async def stored(sql, sender: Sender, table: str) -> list[tuple[int, str, object]]:
    """The rows of a table as (time in ms, key, value), decoded without our own code."""
    rows = await sql.fetch(
        f"""
        SELECT (extract(epoch FROM h.ts) * 1000)::bigint AS ts, k.key, k.kind, v.value, w.text
        FROM {sender.schema}.{table} h
        JOIN {sender.schema}.telemetry_keyset s ON s.id = h.keyset_id,
        unnest(h.vals, s.key_ids) AS v(value, key_id)
        JOIN {sender.schema}.telemetry_signalkey k ON k.id = v.key_id
        LEFT JOIN {sender.schema}.telemetry_word w
            ON w.id = CASE WHEN k.kind = 's' THEN v.value::int END
        WHERE h.device_id = $1 ORDER BY {"h.id" if table == "reading_revision" else "h.ts"}
        """,
        sender.device_id,
    )
    kinds = {"n": lambda r: r["value"], "b": lambda r: bool(r["value"]), "s": lambda r: r["text"]}
    return [(row["ts"], row["key"], kinds[row["kind"]](row)) for row in rows]


async def current(sql, sender: Sender) -> list[tuple[int, str, object]]:
    """What holds: hot rows, and readings of segments at other times."""
    found = await stored(sql, sender, "reading_hot")
    known = {ts for ts, _, _ in found}
    rows = await sql.fetch(
        f"""
        SELECT s.payload, s.n, array_agg(k.key ORDER BY u.i) AS keys,
            array_agg(k.kind ORDER BY u.i) AS kinds
        FROM {sender.schema}.segment s JOIN {sender.schema}.telemetry_keyset t
            ON t.id = s.keyset_id, unnest(t.key_ids) WITH ORDINALITY AS u(key_id, i)
        JOIN {sender.schema}.telemetry_signalkey k ON k.id = u.key_id
        WHERE s.device_id = $1 GROUP BY s.device_id, s.t0, s.t1, s.digest
        """,
        sender.device_id,
    )
    words = {
        row["id"]: row["text"]
        for row in await sql.fetch(f"SELECT id, text FROM {sender.schema}.telemetry_word")
    }
    kinds = {"n": float, "b": bool, "s": lambda code: words[int(code)]}
    for row in rows:
        times, values = packing.unpack(row["payload"])
        assert len(times) == row["n"]
        for time, cell in zip((times // 1000).tolist(), values.tolist(), strict=True):
            for key, kind, value in zip(row["keys"], row["kinds"], cell, strict=True):
                if time not in known and not math.isnan(value):
                    found.append((time, key, kinds[kind](value)))
    return sorted(found, key=lambda cell: cell[:2])
