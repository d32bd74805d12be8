"""What a device says of itself besides readings, in the table `device_attribute`."""

# ruff: noqa: S608  the schema's name, from an allow-list, is all that is put into statements

from collections.abc import Sequence
from typing import Any

import msgspec

from telemetry.ingest import limits
from telemetry.ingest.decoding import ItemRefused
from telemetry.ingest.errors import RequestRefused
from telemetry.ingest.salvaging import check_key
from telemetry.ingest.state import Device

# As JSON writes it; jsonb cannot hold it.
_NUL = "\\u0000"
_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder(dict[str, Any]).decode


def decode(body: bytes) -> dict[str, str]:
    """Return the attributes of a body, each as the JSON it is kept as.

    Raises:
        RequestRefused: 400, the body is no flat object, or an attribute cannot be kept.
    """
    try:
        sent = _DECODE(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RequestRefused(
            400, "malformed_json", "Attributes are one JSON object of names and values."
        ) from None
    kept: dict[str, str] = {}
    for key, value in sent.items():
        try:
            check_key(key)
        except ItemRefused as refusal:
            raise RequestRefused(400, refusal.code, refusal.message) from None
        text = _ENCODE(value).decode()
        if len(text.encode()) > limits.MAX_ATTRIBUTE_BYTES or _NUL in text:
            raise RequestRefused(
                400,
                "bad_attribute",
                f"The attribute {key[:40]!a} holds a NUL or more than "
                f"{limits.MAX_ATTRIBUTE_BYTES} bytes of JSON.",
            )
        kept[key] = text
    return kept


async def store(pool: Any, device: Device, attributes: dict[str, str]) -> None:
    """Keep the attributes; returns when they are committed.

    Raises:
        RequestRefused: 400, the device would have too many; nothing is stored.
    """
    schema = f'"{device.factory.schema}"'
    async with pool.acquire() as connection, connection.transaction():
        # The lock makes the limit exact: one process at a time adds attributes to a device.
        await connection.fetchval(
            f"SELECT id FROM {schema}.telemetry_device WHERE id = $1 FOR UPDATE", device.id
        )
        await connection.execute(
            f"""
            INSERT INTO {schema}.device_attribute AS a (device_id, key, value, changed_at)
            SELECT $1, k, v::jsonb, now() FROM unnest($2::text[], $3::text[]) AS r(k, v)
            ON CONFLICT (device_id, key) DO UPDATE
                SET value = excluded.value, changed_at = excluded.changed_at
                WHERE a.value <> excluded.value
            """,
            device.id,
            list(attributes),
            list(attributes.values()),
        )
        n = await connection.fetchval(
            f"SELECT count(*) FROM {schema}.device_attribute WHERE device_id = $1", device.id
        )
        if n > limits.MAX_ATTRIBUTES_PER_DEVICE:
            raise RequestRefused(
                400,
                "too_many_attributes",
                f"The device would have {n} attributes, at most "
                f"{limits.MAX_ATTRIBUTES_PER_DEVICE} are kept; known ones go on.",
            )


async def load(pool: Any, device: Device, keys: Sequence[str]) -> dict[str, Any]:
    """Return attributes of a device by name: those asked for, or all where none are named."""
    rows = await pool.fetch(
        f'SELECT key, value FROM "{device.factory.schema}".device_attribute'
        " WHERE device_id = $1 AND (key = ANY($2::text[]) OR cardinality($2::text[]) = 0)"
        " ORDER BY key",
        device.id,
        list(keys),
    )
    return {row["key"]: msgspec.Raw(row["value"].encode()) for row in rows}
