"""Readings of a device and month as a Parquet file on S3, and back.

One column `ts` in microseconds UTC and one for each key: doubles, booleans, or texts as a
dictionary. A key that was sent in two kinds has the second as `key:kind`. The file's metadata
says under `takt` (JSON) whose it is and what its columns are, so that it can be read without
Takt. Format: https://parquet.apache.org/docs/
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.conf import settings

from telemetry.models import ArchiveFile, SignalKey, Word
from telemetry.tables import Floats, Int64s, KeyIds, Table
from tenants import storage
from tenants.context import current_schema

# What is kept on this machine of files that were read, all factories together.
CACHE_BYTES: Final = 2 * 1024**3
_CHUNK = 1024 * 1024


class ArchiveAway(Exception):
    """The store does not answer, so that the readings of a range cannot be said now."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self.start, self.end = start, end
        super().__init__(
            f"The readings from {start:%Y-%m-%d} to {end:%Y-%m-%d} are in the archive, which does"
            " not answer; try again in a minute."
        )


class ArchiveDamaged(Exception):
    """A file in the archive is missing or is not what was put there."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"The archived file {key} is missing or was changed.")


def write(path: Path, *, device_id: int, key_ids: KeyIds, tables: Iterable[Table]) -> int:
    """Write readings, in order of time, into a Parquet file; return how many there were."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys = list(SignalKey.objects.filter(pk__in=key_ids).order_by("pk"))
    names = _names(keys)
    types = {"n": pa.float64(), "b": pa.bool_(), "s": pa.dictionary(pa.int32(), pa.string())}
    about = {
        "format": 1,
        "schema": current_schema(),
        "device_id": device_id,
        "columns": [
            {"name": name, "key": key.key, "kind": key.kind}
            for name, key in zip(names, keys, strict=True)
        ],
    }
    fields = [pa.field("ts", pa.timestamp("us", tz="UTC"), nullable=False)]
    fields += [pa.field(name, types[key.kind]) for name, key in zip(names, keys, strict=True)]
    schema = pa.schema(fields, metadata={"takt": json.dumps(about)})
    n = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            place = {key_id: i for i, key_id in enumerate(table.key_ids)}
            columns = [pa.array(table.times, pa.timestamp("us", tz="UTC"))]
            for key, field in zip(keys, fields[1:], strict=True):
                at = place.get(key.pk)
                values = np.full(len(table.times), np.nan) if at is None else table.values[:, at]
                columns.append(_column(key.kind, values, field.type))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            n += len(table.times)
    return n


def _names(keys: Sequence[SignalKey]) -> list[str]:
    names: list[str] = []
    for key in keys:
        is_taken = key.key in names or key.key == "ts"
        names.append(f"{key.key}:{key.kind}" if is_taken else key.key)
    return names


def _column(kind: str, values: Floats, wanted: Any) -> Any:
    import pyarrow as pa

    absent = np.isnan(values)
    if kind == SignalKey.Kind.BOOLEAN:
        return pa.array(values == 1.0, pa.bool_(), mask=absent)
    if kind == SignalKey.Kind.NUMBER:
        return pa.array(values, pa.float64(), mask=absent)
    codes, place = np.unique(values[~absent].astype(np.int64), return_inverse=True)
    texts = dict(Word.objects.filter(pk__in=codes.tolist()).values_list("pk", "text"))
    indices = np.zeros(len(values), np.int32)
    indices[~absent] = place
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, pa.int32(), mask=absent),
        pa.array([texts[code] for code in codes.tolist()], pa.string()),
    ).cast(wanted)


def read(
    file: ArchiveFile, keys: Sequence[str], start: datetime, end: datetime
) -> tuple[Int64s, Floats]:
    """Return what a file has in [start, end): times (n,) and values (n, len(keys)).

    As a segment has them: NaN where a reading has no value for a key, texts as codes of `Word`.

    Raises:
        ArchiveAway: the store does not answer.
        ArchiveDamaged: the file is not what was put there.
    """
    path = fetch(file, start, end)
    about = described(path)
    wanted = [(column, i) for i, key in enumerate(keys) for column in about if column["key"] == key]
    table = _read(path, [column["name"] for column, _i in wanted], start, end)
    times = _times(table)
    values = np.full((len(times), len(keys)), np.nan)
    for column, i in wanted:
        found = _floats(column["kind"], table.column(column["name"]))
        values[:, i] = np.where(np.isnan(values[:, i]), found, values[:, i])
    return times, values


def read_tables(path: Path) -> Iterator[Table]:
    """Return all readings of a fetched file, a row group at a time."""
    import pyarrow.parquet as pq

    about = described(path)
    pks = {
        column["name"]: SignalKey.objects.get_or_create(key=column["key"], kind=column["kind"])[
            0
        ].pk
        for column in about
    }
    about.sort(key=lambda column: pks[column["name"]])
    with pq.ParquetFile(path) as file:
        for i in range(file.num_row_groups):
            group = file.read_row_group(i)
            values = [_floats(column["kind"], group.column(column["name"])) for column in about]
            times = _times(group)
            yield Table(
                tuple(pks[column["name"]] for column in about),
                times,
                np.column_stack(values) if values else np.empty((len(times), 0)),
                np.zeros(len(times), np.int64),
            )


def described(path: Path) -> list[dict[str, str]]:
    """Return name, key and kind of each column of a file but `ts`."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata
    columns: list[dict[str, str]] = json.loads(metadata[b"takt"])["columns"]
    return columns


def _read(path: Path, names: list[str], start: datetime, end: datetime) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(
        path, columns=["ts", *names], filters=[("ts", ">=", start), ("ts", "<", end)]
    )


def _times(table: Any) -> Int64s:
    import pyarrow as pa

    times: Int64s = table.column("ts").cast(pa.int64()).to_numpy()
    return times


def _floats(kind: str, column: Any) -> Floats:
    import pyarrow as pa

    if kind != SignalKey.Kind.TEXT:
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes = np.array([*_codes(encoded.dictionary.to_pylist()), np.nan], np.float64)
    indices = encoded.indices.to_numpy(zero_copy_only=False).astype(np.float64)
    absent = np.isnan(indices)
    return np.where(absent, np.nan, codes[np.where(absent, 0, indices).astype(np.int64)])


def _codes(texts: Sequence[str]) -> list[int]:
    known = dict(Word.objects.filter(text__in=texts).values_list("text", "pk"))
    missing = sorted(set(texts) - known.keys())
    if missing:
        Word.objects.bulk_create([Word(text=text) for text in missing], ignore_conflicts=True)
        known |= dict(Word.objects.filter(text__in=missing).values_list("text", "pk"))
    return [known[text] for text in texts]


def fetch(file: ArchiveFile, start: datetime, end: datetime) -> Path:
    """Return the file on this machine, brought from the store and verified if it is not here.

    Raises:
        ArchiveAway: the store does not answer; it names the range that is asked for.
        ArchiveDamaged: the file is not what was put there.
    """
    folder = Path(settings.VAR_DIR) / "archive"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{bytes(file.sha256).hex()}.parquet"
    if path.exists() and path.stat().st_size == file.n_bytes:
        path.touch()
        return path
    digest = hashlib.sha256()
    part = path.with_suffix(f".{id(digest)}.part")
    try:
        with part.open("wb") as out:
            for piece in storage.stream(key=file.key):
                digest.update(piece)
                out.write(piece)
        if digest.digest() != bytes(file.sha256):
            raise ArchiveDamaged(file.key)
        part.replace(path)
    except storage.ObjectMissing as error:
        raise ArchiveDamaged(file.key) from error
    except storage.StorageUnavailable as error:
        raise ArchiveAway(max(start, file.t0), min(end, file.t1)) from error
    finally:
        part.unlink(missing_ok=True)
    _evict(folder, keep=path)
    return path


def _evict(folder: Path, *, keep: Path) -> None:
    """Remove what was read longest ago until the rest is no more than may be kept."""
    found = sorted(folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime, reverse=True)
    n_bytes = 0
    for path in found:
        n_bytes += path.stat().st_size
        if n_bytes > CACHE_BYTES and path != keep:
            path.unlink(missing_ok=True)


def digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
