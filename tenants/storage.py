"""A factory's objects on S3: the only module that talks to it.

Every key is made by `tenants.names.object_key` and so begins with the schema of the factory at
work; a key of another factory is refused here, whatever made it.

Every call ends: connecting takes at most 3 s, a piece of an answer at most 10 s, two tries. Any
S3 server with signatures will do; credentials left empty come from the machine's role, as boto3
finds them. Contract: https://docs.aws.amazon.com/AmazonS3/latest/API/
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from tenants.context import current_schema

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
CHUNK_BYTES = 1024 * 1024
# Of an upload in parts; the store takes none below 5 MiB but the last.
PART_BYTES = 8 * 1024 * 1024


class StorageUnavailable(Exception):
    """The store did not answer, or refused us; trying again later may help."""


class ObjectMissing(Exception):
    """There is no such object."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__("The stored object is missing.")


class ForeignKey(Exception):
    """A key lies outside the prefix of the factory at work: a mistake in the code that asks."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the store says of an object."""

    key: str
    size: int
    stored_at: datetime


@functools.cache
def _client(endpoint: str, access: str, secret: str, region: str) -> S3Client:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint or None,
        aws_access_key_id=access or None,
        aws_secret_access_key=secret or None,
        region_name=region,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": 2, "mode": "standard"},
            s3={"addressing_style": "path"},
            # Not every S3 server knows the newer checksums; the bundle has its own.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _s3() -> S3Client:
    return _client(
        settings.S3_ENDPOINT_URL,
        settings.S3_ACCESS_KEY_ID,
        settings.S3_SECRET_ACCESS_KEY,
        settings.S3_REGION,
    )


def _errors() -> tuple[type[Exception], ...]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return (Boto3Error, BotoCoreError, ClientError)


def _own(key: str) -> str:
    """Return a key of the factory at work.

    Raises:
        ForeignKey: it belongs to another one.
        tenants.context.NoFactory: no factory is at work.
    """
    if not key.startswith(f"{current_schema()}/"):
        raise ForeignKey(key)
    return key


def _extra() -> dict[str, str]:
    return {"ServerSideEncryption": settings.S3_ENCRYPTION} if settings.S3_ENCRYPTION else {}


def ensure_bucket() -> None:
    """Create the bucket unless it is there.

    Raises:
        StorageUnavailable: the store is away or the bucket belongs to somebody else.
    """
    try:
        _s3().head_bucket(Bucket=settings.S3_BUCKET)
    except _errors() as error:
        if _code(error) not in ("404", "NoSuchBucket"):
            raise StorageUnavailable(_said(error)) from error
        try:
            _s3().create_bucket(Bucket=settings.S3_BUCKET)
        except _errors() as refused:
            if _code(refused) != "BucketAlreadyOwnedByYou":
                raise StorageUnavailable(_said(refused)) from refused


def put_bytes(*, key: str, content: bytes) -> None:
    """Store an object; storing it again replaces it.

    Raises:
        StorageUnavailable: it is not stored.
    """
    extra: dict[str, Any] = _extra()
    try:
        _s3().put_object(Bucket=settings.S3_BUCKET, Key=_own(key), Body=content, **extra)
    except _errors() as error:
        raise StorageUnavailable(_said(error)) from error


def put_file(*, key: str, path: Path) -> None:
    """Store a file as an object, in parts where it is large; it is there whole or not at all.

    Raises:
        StorageUnavailable: it is not stored.
    """
    from boto3.s3.transfer import TransferConfig

    try:
        _s3().upload_file(
            str(path),
            settings.S3_BUCKET,
            _own(key),
            ExtraArgs=_extra(),
            # One part after the other: a worker's memory holds one, not ten.
            Config=TransferConfig(use_threads=False),
        )
    except _errors() as error:
        raise StorageUnavailable(_said(error)) from error


class Upload:
    """An object that is being written, part after part; `zipfile` can write into it."""

    def __init__(self, key: str, upload_id: str) -> None:
        self._where: dict[str, Any] = {
            "Bucket": settings.S3_BUCKET, "Key": key, "UploadId": upload_id,
        }  # fmt: skip
        self._waiting = bytearray()
        self._parts: list[CompletedPartTypeDef] = []
        self.n_bytes = 0

    def write(self, content: bytes, /) -> int:
        """Add to the object; what is too little for a part waits in memory.

        Raises:
            StorageUnavailable: the store did not take a part.
        """
        self._waiting += content
        self.n_bytes += len(content)
        while len(self._waiting) >= self._part_bytes:
            self._send(self._part_bytes)
        return len(content)

    def flush(self) -> None:
        """Do nothing: parts have a least size."""

    def close(self) -> None:
        """Do nothing: the block of `upload` ends the object."""

    @property
    def _part_bytes(self) -> int:
        """An object has 10,000 parts at most: they grow, so that 240 GB find room."""
        return PART_BYTES * (1 + len(self._parts) // 2_000)

    def _send(self, n_bytes: int) -> None:
        number = len(self._parts) + 1
        part = bytes(self._waiting[:n_bytes])
        try:
            answer = _s3().upload_part(**self._where, PartNumber=number, Body=part)
        except _errors() as error:
            raise StorageUnavailable(_said(error)) from error
        del self._waiting[:n_bytes]
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def complete(self) -> None:
        self._send(len(self._waiting))
        try:
            _s3().complete_multipart_upload(**self._where, MultipartUpload={"Parts": self._parts})
        except _errors() as error:
            raise StorageUnavailable(_said(error)) from error

    def abort(self) -> None:
        with contextlib.suppress(*_errors()):  # what is left of it, the store removes by its rules
            _s3().abort_multipart_upload(**self._where)


@contextlib.contextmanager
def upload(*, key: str) -> Iterator[Upload]:
    """Write an object in the block, without knowing its size; it is there whole or not at all.

    Raises:
        StorageUnavailable: it is not stored.
    """
    extra: dict[str, Any] = _extra()
    try:
        begun = _s3().create_multipart_upload(Bucket=settings.S3_BUCKET, Key=_own(key), **extra)
    except _errors() as error:
        raise StorageUnavailable(_said(error)) from error
    made = Upload(key, begun["UploadId"])
    try:
        yield made
        made.complete()
    except BaseException:
        made.abort()
        raise


def get_bytes(*, key: str) -> bytes:
    """Return an object.

    Raises:
        ObjectMissing: there is none.
        StorageUnavailable: the store is away, or the object came back cut short.
    """
    return b"".join(stream(key=key))


def get_file(*, key: str, path: Path) -> None:
    """Write an object into a file, which is there whole or not at all.

    Raises:
        ObjectMissing: there is none.
        StorageUnavailable: the store is away, or the object came back cut short.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(stream(key=key))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def stream(*, key: str) -> Iterator[bytes]:
    """Return the pieces of an object, of a megabyte each; asks the store before it returns.

    Raises:
        ObjectMissing: there is none.
        StorageUnavailable: the store is away; while reading, also that it was cut short.
    """
    try:
        body = _s3().get_object(Bucket=settings.S3_BUCKET, Key=_own(key))["Body"]
    except _errors() as error:
        if _code(error) in ("404", "NoSuchKey"):
            raise ObjectMissing(key) from error
        raise StorageUnavailable(_said(error)) from error

    def pieces() -> Iterator[bytes]:
        try:
            yield from body.iter_chunks(CHUNK_BYTES)
        except _errors() as error:
            raise StorageUnavailable(_said(error)) from error
        finally:
            body.close()

    return pieces()


def delete(*, key: str) -> None:
    """Remove an object; one that is not there is no error.

    Raises:
        StorageUnavailable: the store is away.
    """
    try:
        _s3().delete_object(Bucket=settings.S3_BUCKET, Key=_own(key))
    except _errors() as error:
        raise StorageUnavailable(_said(error)) from error


def objects(*, prefix: str) -> list[StoredObject]:
    """Return the objects whose keys begin with `prefix`, in the order of their keys.

    Raises:
        StorageUnavailable: the store is away.
    """
    try:
        pages = _s3().get_paginator("list_objects_v2")
        return [
            StoredObject(found["Key"], found["Size"], found["LastModified"])
            for page in pages.paginate(Bucket=settings.S3_BUCKET, Prefix=_own(prefix))
            for found in page.get("Contents", ())
        ]
    except _errors() as error:
        raise StorageUnavailable(_said(error)) from error


def _code(error: Exception) -> str:
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def _said(error: Exception) -> str:
    """Say what went wrong without addresses or keys."""
    return f"The object store did not do it: {_code(error) or type(error).__name__}."
