"""The form in which a model is kept: one signed bundle of ONNX, arrays and a JSON manifest.

Layout: magic, HMAC-SHA-256, then the body it signs: length of the manifest (8 bytes, big
endian), manifest, sections. The signature also covers what the bundle is (factory, kind,
subject, version), so that a good bundle in the wrong place is refused as well.

The signature is checked before a byte of the body is parsed, and what is parsed afterwards is
JSON, plain arrays of numbers, and ONNX. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MAGIC: Final = b"TAKT-MODEL-1\n"
_DIGEST_SIZE: Final = hashlib.sha256().digest_size
_LENGTH_SIZE: Final = 8
MAX_SIZE: Final = 256 * 1024 * 1024
_TYPES: Final = {"<f8": np.float64, "<i8": np.int64, "<f4": np.float32, "|u1": np.uint8}

Array = npt.NDArray[Any]


class ArtifactRefused(Exception):
    """A stored model is not what it should be; says why in plain words."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a bundle is allowed to be used as."""

    schema: str
    kind: str
    subject: str  # the machine type, the inspection plan
    version: int

    def signed(self) -> bytes:
        parts = (self.schema, self.kind, self.subject, str(self.version))
        return b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in parts)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model at rest."""

    manifest: Mapping[str, Any]
    arrays: Mapping[str, Array]
    onnx: bytes


def digest(blob: bytes) -> str:
    """Name a bundle by its content."""
    return hashlib.sha256(blob).hexdigest()


def seal(bundle: Bundle, *, identity: Identity, key: str) -> bytes:
    """Return the signed bytes of a bundle."""
    sections: list[bytes] = [bundle.onnx]
    described = []
    for name, array in sorted(bundle.arrays.items()):
        plain = np.ascontiguousarray(array, _type_kept(array))
        described.append({"name": name, "type": plain.dtype.str, "shape": list(plain.shape)})
        sections.append(plain.tobytes())
    manifest = json.dumps(
        {"manifest": bundle.manifest, "arrays": described, "onnx_bytes": len(bundle.onnx)},
        sort_keys=True, allow_nan=False,
    ).encode()  # fmt: skip
    body = len(manifest).to_bytes(_LENGTH_SIZE, "big") + manifest + b"".join(sections)
    return MAGIC + _signature(body, identity, key) + body


def open_sealed(blob: bytes, *, identity: Identity, key: str) -> Bundle:
    """Verify a bundle, then parse it.

    Raises:
        ArtifactRefused: not a bundle, damaged, altered, or signed for something else.
    """
    head = len(MAGIC) + _DIGEST_SIZE
    if len(blob) > MAX_SIZE:
        raise ArtifactRefused("The stored model is larger than any model this product makes.")
    if not blob.startswith(MAGIC):
        raise ArtifactRefused("The stored file is not a model of this product.")
    if len(blob) < head + _LENGTH_SIZE:
        raise ArtifactRefused("The stored model is cut off.")
    body = blob[head:]
    if not hmac.compare_digest(blob[len(MAGIC) : head], _signature(body, identity, key)):
        raise ArtifactRefused(
            "The signature of the stored model does not fit: it was altered, cut off, or made "
            "for another factory, subject or version."
        )
    return _parse(body)


def _type_kept(array: Array) -> str:
    """Return integers as int64, but for bytes; float32, which keeps models small, as it is."""
    if array.dtype == np.uint8:
        return "|u1"
    if array.dtype.kind in "iu":
        return "<i8"
    return "<f4" if array.dtype == np.float32 else "<f8"


def _signature(body: bytes, identity: Identity, key: str) -> bytes:
    signed = hmac.new(key.encode(), digestmod=hashlib.sha256)
    signed.update(b"takt model bundle\0")
    signed.update(identity.signed())
    signed.update(body)
    return signed.digest()


def _parse(body: bytes) -> Bundle:
    """Read a verified body. A fault here is one of ours, and refused all the same."""
    try:
        end = _LENGTH_SIZE + int.from_bytes(body[:_LENGTH_SIZE], "big")
        head = json.loads(body[_LENGTH_SIZE:end])
        onnx, place = body[end : end + head["onnx_bytes"]], end + head["onnx_bytes"]
        arrays: dict[str, Array] = {}
        for described in head["arrays"]:
            dtype = np.dtype(_TYPES[described["type"]])
            size = int(np.prod(described["shape"])) * dtype.itemsize
            flat = np.frombuffer(body[place : place + size], dtype=dtype)
            arrays[described["name"]] = flat.reshape(described["shape"])
            place += size
        if place != len(body):
            raise ArtifactRefused("The stored model is longer than it says.")
        return Bundle(head["manifest"], arrays, onnx)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model cannot be read by this version.") from error
