"""Keys, keysets, words and signals become numbers, once for ever, whoever comes first.

Every statement is safe beside other processes doing the same: insert what is missing in sorted
order (so that two of them never wait for each other in a circle), ignore what somebody else
inserted, then read. The ids are committed before a reading that uses them.
"""

# ruff: noqa: S608  the schema's name, from an allow-list, is all that is put into statements

from collections.abc import Iterable, Sequence
from typing import Any

from telemetry.guessing import guess
from telemetry.ingest import limits, state
from telemetry.ingest.decoding import ItemRefused
from telemetry.ingest.salvaging import check_key, check_text
from telemetry.ingest.state import KIND_OF, Device, Factory, Plan, Signature

Pairs = list[tuple[str, str]]


class Interner:
    """Learns what is new in a request. `pool` is an asyncpg pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def learn_shapes(
        self, device: Device, signatures: Sequence[Signature]
    ) -> dict[Signature, Plan | ItemRefused]:
        """Find or make the plan of each signature, or say why it is refused."""
        found: dict[Signature, Plan | ItemRefused] = {}
        sound: list[Signature] = []
        is_full = self._is_full(device)
        for signature in signatures:
            try:
                for key in signature[0]:
                    check_key(key)
            except ItemRefused as refusal:
                found[signature] = refusal
            else:
                if is_full and not self._is_known(device, signature):
                    found[signature] = _too_many(device)
                else:
                    sound.append(signature)
        if not sound:
            return found
        async with self._pool.acquire() as connection:
            # A device that was known before this process started needs one look and no lock.
            own, allowed = await _signals_of(connection, device), sound
            if any(pair not in own for signature in sound for pair in _pairs(signature)):
                async with connection.transaction():
                    own, allowed = await self._allow_signals(connection, device, sound, found)
                    plans = await self._make_plans(connection, device.factory, own, allowed)
            else:
                plans = await self._make_plans(connection, device.factory, own, allowed)
        # Remembered only now: before the commit the ids might never come to be.
        factory = device.factory
        factory.key_ids.update(own)
        device.signal_ids = set(own.values())
        factory.keyset_ids.update({plan.key_ids: plan.keyset_id for plan in plans.values()})
        device.plans.update(plans)
        found.update(plans)
        return found

    async def learn_words(
        self, device: Device, words: Iterable[str]
    ) -> dict[str, int | ItemRefused]:
        """Find or make the code of each text, or say why it is refused."""
        found: dict[str, int | ItemRefused] = {}
        sound: list[str] = []
        for word in words:
            try:
                check_text("text", word)
            except ItemRefused as refusal:
                found[word] = refusal
            else:
                sound.append(word)
        factory = device.factory
        table = f'"{factory.schema}".telemetry_word'
        async with self._pool.acquire() as connection:
            known = await _ids_of_words(connection, table, sound)
            missing = sorted(set(sound) - known.keys())
            room = max(0, limits.MAX_WORDS_PER_DEVICE - device.n_new_words)
            for word in missing[room:]:
                found[word] = ItemRefused(
                    "too_many_texts",
                    f"The device has sent {limits.MAX_WORDS_PER_DEVICE} different texts; "
                    "send what changes with every reading as a number.",
                )
            missing = missing[:room]
            if missing:
                await connection.execute(
                    f"INSERT INTO {table} (text) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
                    missing,
                )
                device.n_new_words += len(missing)
                known |= await _ids_of_words(connection, table, missing)
        if len(factory.word_ids) > state.MAX_WORDS:
            factory.word_ids.clear()
        factory.word_ids.update(known)
        found.update(known)
        return found

    @staticmethod
    def _is_full(device: Device) -> bool:
        n_allowed = device.factory.limits.distinct_keys_per_device
        return device.signal_ids is not None and len(device.signal_ids) >= n_allowed

    @staticmethod
    def _is_known(device: Device, signature: Signature) -> bool:
        ids = device.factory.key_ids
        own = device.signal_ids or set()
        return all(ids.get(pair) in own for pair in _pairs(signature))

    async def _allow_signals(
        self,
        connection: Any,
        device: Device,
        signatures: list[Signature],
        found: dict[Signature, Plan | ItemRefused],
    ) -> tuple[dict[tuple[str, str], int], list[Signature]]:
        """Register the new signals of the device as far as its limit of keys allows."""
        factory = device.factory
        schema = f'"{factory.schema}"'
        # The lock makes the limit exact: one process at a time adds signals to a device.
        await connection.fetchval(
            f"SELECT id FROM {schema}.telemetry_device WHERE id = $1 FOR UPDATE",
            device.id,
        )
        own = await _signals_of(connection, device)
        n_allowed = factory.limits.distinct_keys_per_device
        fresh: dict[tuple[str, str], None] = {}
        allowed: list[Signature] = []
        for signature in signatures:
            new = [p for p in _pairs(signature) if p not in own and p not in fresh]
            if new and len(own) + len(fresh) + len(new) > n_allowed:
                found[signature] = _too_many(device)
                continue
            fresh.update(dict.fromkeys(new))
            allowed.append(signature)
        if fresh:
            # Ids in the order of the first reading, so that most readings are in keyset order;
            # the lock order of two processes making the same keys is the same for one firmware.
            ids = await _intern_keys(connection, schema, list(fresh))
            await _insert_signals(connection, schema, device.id, ids)
            own |= ids
        return own, allowed

    async def _make_plans(
        self,
        connection: Any,
        factory: Factory,
        own: dict[tuple[str, str], int],
        signatures: list[Signature],
    ) -> dict[Signature, Plan]:
        shapes = {s: tuple(own[pair] for pair in _pairs(s)) for s in signatures}
        keysets = {tuple(sorted(ids)) for ids in shapes.values()}
        ids_of = {
            keyset: factory.keyset_ids.get(keyset)
            or await intern_keyset(connection, factory, keyset)
            for keyset in sorted(keysets)
        }
        plans: dict[Signature, Plan] = {}
        for signature, ids in shapes.items():
            keyset = tuple(sorted(ids))
            plans[signature] = Plan(
                keyset_id=ids_of[keyset],
                key_ids=keyset,
                order=None if ids == keyset else tuple(ids.index(key_id) for key_id in keyset),
                is_numeric=set(signature[1]) == {float},
            )
        return plans


async def intern_keyset(connection: Any, factory: Factory, keyset: tuple[int, ...]) -> int:
    """Return the id of a sorted list of key ids, made now if it is new."""
    table = f'"{factory.schema}".telemetry_keyset'
    find = f"SELECT id FROM {table} WHERE key_ids = $1::int[]"
    found: int | None = await connection.fetchval(find, keyset)
    if found is None:
        await connection.execute(
            f"INSERT INTO {table} (key_ids) VALUES ($1::int[]) ON CONFLICT DO NOTHING",
            keyset,
        )
        found = await connection.fetchval(find, keyset)
    assert found is not None
    return found


async def _signals_of(connection: Any, device: Device) -> dict[tuple[str, str], int]:
    schema = f'"{device.factory.schema}"'
    rows = await connection.fetch(
        f"SELECT k.key, k.kind, k.id FROM {schema}.telemetry_signal s"
        f" JOIN {schema}.telemetry_signalkey k ON k.id = s.key_id WHERE s.device_id = $1",
        device.id,
    )
    return {(row["key"], row["kind"]): row["id"] for row in rows}


def _pairs(signature: Signature) -> Pairs:
    return [(key, KIND_OF[kind]) for key, kind in zip(*signature, strict=True)]


def _too_many(device: Device) -> ItemRefused:
    n_allowed = device.factory.limits.distinct_keys_per_device
    return ItemRefused(
        "too_many_keys",
        f"The device would have more than {n_allowed} different keys; known keys go on.",
    )


async def _intern_keys(connection: Any, schema: str, pairs: Pairs) -> dict[tuple[str, str], int]:
    keys, kinds = [p[0] for p in pairs], [p[1] for p in pairs]
    find = (
        f"SELECT k.key, k.kind, k.id FROM {schema}.telemetry_signalkey k"
        " JOIN unnest($1::text[], $2::text[]) AS p(key, kind) ON p.key = k.key AND p.kind = k.kind"
    )
    rows = await connection.fetch(find, keys, kinds)
    known = {(row["key"], row["kind"]) for row in rows}
    missing = [pair for pair in pairs if pair not in known]
    if missing:
        await connection.execute(
            f"INSERT INTO {schema}.telemetry_signalkey (key, kind)"
            " SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
            [p[0] for p in missing],
            [p[1] for p in missing],
        )
        rows = await connection.fetch(find, keys, kinds)
    return {(row["key"], row["kind"]): row["id"] for row in rows}


async def _insert_signals(
    connection: Any, schema: str, device_id: int, ids: dict[tuple[str, str], int]
) -> None:
    guesses = [guess(key=key, kind=kind) for key, kind in ids]
    await connection.execute(
        f"INSERT INTO {schema}.telemetry_signal"
        " (device_id, key_id, label, unit, role, scale, first_seen_at)"
        " SELECT $1::bigint, k, l, u, r, 1, now()"
        " FROM unnest($2::int[], $3::text[], $4::text[], $5::text[]) AS g(k, l, u, r)"
        " ON CONFLICT DO NOTHING",
        device_id,
        list(ids.values()),
        [g.label for g in guesses],
        [g.unit for g in guesses],
        [g.role for g in guesses],
    )


async def _ids_of_words(connection: Any, table: str, words: list[str]) -> dict[str, int]:
    rows = await connection.fetch(
        f"SELECT text, id FROM {table} WHERE text = ANY($1::text[])",
        words,
    )
    return {row["text"]: row["id"] for row in rows}
