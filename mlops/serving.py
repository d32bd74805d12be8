"""Loaded models, one copy a process, so that scoring waits for no store.

A model is fetched once: from this process, else from this machine's disk, else from S3, and
verified wherever it came from. When the newest cannot be had or is refused, the last good
version serves and says so.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings

from mlops import artifacts, kinds
from mlops.artifacts import ArtifactRefused, Identity
from mlops.models import ModelVersion
from tenants import storage
from tenants.context import current_schema

log = structlog.get_logger()

# A loaded model takes five times its size (some 10 MB for a remaining life): with more of them a
# worker that serves many factories would grow by hundreds of MB. Loading one anew from this
# machine's disk takes some hundredths of a second.
MAX_LOADED = 16


class NoModel(Exception):
    """No version can serve; says why in plain words."""


@dataclass(frozen=True, slots=True)
class Served:
    """A verified model ready to score.

    `note` is not empty when this is not the version that should serve.
    """

    version: ModelVersion
    model: Any
    note: str = ""


_loaded: OrderedDict[tuple[str, str], tuple[str, Any]] = OrderedDict()
_lock = threading.Lock()


def forget() -> None:
    """Drop every loaded model of this process."""
    with _lock:
        _loaded.clear()


def serve(candidates: list[ModelVersion]) -> Served:
    """Return the first version that can be had, in the order given (the champion first).

    Raises:
        NoModel: none can; with the reason of the first.
    """
    reasons: list[str] = []
    for version in candidates:
        try:
            model = load(version)
        except (ArtifactRefused, storage.StorageUnavailable) as error:
            log.error("mlops.model.refused", version_id=str(version.pk), reason=str(error))
            reasons.append(f"Version {version.version} is not used. {error}")
            continue
        note = f"{reasons[0]} Version {version.version} serves." if reasons else ""
        return Served(version, model, note)
    raise NoModel(reasons[0] if reasons else "No model has been trained yet.")


def load(version: ModelVersion) -> Any:
    """Return a verified model as its kind knows it, loaded at most once a process.

    Raises:
        ArtifactRefused: it is not what was registered.
        ObjectMissing, StorageUnavailable: it cannot be had.
    """
    place = (current_schema(), str(version.pk))
    with _lock:
        known = _loaded.get(place)
        if known and known[0] == version.digest:
            _loaded.move_to_end(place)
            return known[1]
    blob = _fetch(version)
    identity = identity_of(version)
    bundle = artifacts.open_sealed(blob, identity=identity, key=settings.ARTIFACT_KEY)
    model = kinds.of(version.kind).unpack(bundle)
    with _lock:
        _loaded[place] = (version.digest, model)
        while len(_loaded) > MAX_LOADED:
            _loaded.popitem(last=False)
    return model


def identity_of(version: ModelVersion) -> Identity:
    """Return what the artifact of a version must be signed for, inside its factory."""
    return Identity(current_schema(), version.kind, str(version.subject_id), version.version)


def _fetch(version: ModelVersion) -> bytes:
    """Return the registered bytes; a copy that differs from the registered digest is refused."""
    kept = _kept_at(version)
    if kept.is_file():
        blob = kept.read_bytes()
        if artifacts.digest(blob) == version.digest:
            return blob
        log.warning("mlops.model.copy_differs", version_id=str(version.pk))
    try:
        blob = storage.get_bytes(key=version.artifact_key)
    except storage.ObjectMissing as error:
        raise ArtifactRefused("The stored model is missing.") from error
    if artifacts.digest(blob) != version.digest:
        raise ArtifactRefused(
            "The stored model is not the one that was registered: it was altered or replaced."
        )
    keep(version, blob)
    return blob


def keep(version: ModelVersion, blob: bytes) -> None:
    """Leave a copy on this machine's disk, so that scoring outlives the store."""
    kept = _kept_at(version)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{threading.get_ident()}.part")
        partial.write_bytes(blob)
        partial.replace(kept)
    except OSError as error:
        log.warning("mlops.model.not_kept", error=type(error).__name__)


def _kept_at(version: ModelVersion) -> Path:
    folder: Path = settings.VAR_DIR / "models" / current_schema()
    return folder / f"{version.pk}.takt"
