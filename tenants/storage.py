"""Objects on S3: the only module that talks to it.

Every call ends: connecting takes at most 3 s, an answer at most 10 s, two tries. Any S3 server
with signatures will do; credentials left empty come from the machine's role, as boto3 finds
them. Contract: https://docs.aws.amazon.com/AmazonS3/latest/API/
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10


class StorageUnavailable(Exception):
    """The store did not answer, or refused us; trying again later may help."""


class ObjectMissing(Exception):
    """There is no such object."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__("The stored model is missing.")


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
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


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


def put(*, key: str, content: bytes) -> None:
    """Store an object; storing it again replaces it.

    Raises:
        StorageUnavailable: it is not stored.
    """
    extra: dict[str, Any] = {}
    if settings.S3_ENCRYPTION:
        extra["ServerSideEncryption"] = settings.S3_ENCRYPTION
    try:
        _s3().put_object(Bucket=settings.S3_BUCKET, Key=key, Body=content, **extra)
    except _errors() as error:
        raise StorageUnavailable(_said(error)) from error


def get(*, key: str) -> bytes:
    """Return an object.

    Raises:
        ObjectMissing: there is none.
        StorageUnavailable: the store is away.
    """
    try:
        return _s3().get_object(Bucket=settings.S3_BUCKET, Key=key)["Body"].read()
    except _errors() as error:
        if _code(error) in ("404", "NoSuchKey"):
            raise ObjectMissing(key) from error
        raise StorageUnavailable(_said(error)) from error


def delete(*, key: str) -> None:
    """Remove an object; one that is not there is no error.

    Raises:
        StorageUnavailable: the store is away.
    """
    try:
        _s3().delete_object(Bucket=settings.S3_BUCKET, Key=key)
    except _errors() as error:
        raise StorageUnavailable(_said(error)) from error


def _code(error: Exception) -> str:
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def _said(error: Exception) -> str:
    """Say what went wrong without addresses or keys."""
    return f"The object store did not do it: {_code(error) or type(error).__name__}."
