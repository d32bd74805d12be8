"""Where the pixels of a picture lie: in PostgreSQL until the object store has them, then there.

What is stored is drawn anew behind the door (`mlops.vision.pictures`). A key is made of ids alone;
what a picture was called outside is no part of it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Sum

from mlops.models import InspectionImage, PendingPicture
from mlops.vision import pictures
from tenants import names, storage

# A factory's pictures that wait for the object store.
MAX_PENDING_BYTES: Final = 1024 * 1024 * 1024
MAX_PENDING: Final = 10_000
NAME_LENGTH: Final = 120
_SEPARATORS: Final = re.compile(r"[/\\]")


class PictureUnknown(Exception):
    """The plan, the inspection or the picture that is named is not there, or is another's."""


class PictureGone(Exception):
    """The picture is not kept any more; what was found in it is."""

    def __init__(self) -> None:
        super().__init__("This picture is not kept any more. What was found in it is.")


class TooManyPending(Exception):
    """The object store has been away for so long that no further picture can wait for it."""

    code: Final = "too_many_pending"

    def __init__(self, n_pending: int) -> None:
        self.n_pending = n_pending
        super().__init__(
            f"{n_pending} pictures wait for the store for files, and no more can wait. Send this "
            "one again later; if that does not help, have the store looked at."
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture as it is kept: a PNG of the pixels, and a small WebP of it."""

    content: bytes
    thumbnail: bytes
    width: int
    height: int


def drawn(picture: pictures.Picture) -> Drawn:
    """Draw a picture that came through the door anew."""
    return Drawn(
        pictures.encode(picture.pixels),
        pictures.thumbnail(picture.pixels),
        picture.width,
        picture.height,
    )


def shown_name(name: str) -> str:
    """Return what people may see of a file's name: its last part, in plain characters."""
    last = _SEPARATORS.split(name)[-1]
    # Control characters, marks that turn the direction of writing, surrogates, private use.
    plain = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    return " ".join(plain.split())[:NAME_LENGTH].strip().lstrip(".")


def keys_of(*, plan_id: UUID, image_id: UUID) -> tuple[str, str]:
    """Return the keys of a picture and of its thumbnail."""
    place = names.object_key("pictures", str(plan_id), str(image_id))
    return f"{place}.png", f"{place}.webp"


def check_room(n_bytes: int) -> None:
    """Check that a picture of so many bytes may wait; several at once may go a little beyond.

    Raises:
        TooManyPending: there is no room left.
    """
    waiting = InspectionImage.objects.filter(pending__isnull=False)
    found = waiting.aggregate(n=Count("pk"), size=Sum("n_bytes"))
    if found["n"] >= MAX_PENDING or (found["size"] or 0) + n_bytes > MAX_PENDING_BYTES:
        raise TooManyPending(found["n"])


def hold(image: InspectionImage, picture: Drawn, *, at: datetime) -> None:
    """Write the bytes of a picture beside its row, in the caller's transaction."""
    PendingPicture.objects.create(
        image=image, content=picture.content, thumbnail=picture.thumbnail, received_at=at
    )


def bring(image_id: UUID) -> bool:
    """Bring a picture that waits to the object store, and let go of it here.

    False when it does not wait any more, or is being brought at this moment.

    Raises:
        tenants.storage.StorageUnavailable: it waits on.
    """
    with transaction.atomic():
        # Held until the store has both, so that nobody discards the picture meanwhile.
        rows = PendingPicture.objects.select_for_update(skip_locked=True, of=("self",))
        pending = rows.select_related("image").filter(pk=image_id).first()
        if pending is None:
            return False
        storage.put_bytes(key=pending.image.object_key, content=bytes(pending.content))
        storage.put_bytes(key=pending.image.thumbnail_key, content=bytes(pending.thumbnail))
        pending.delete()
    return True


def content_of(image: InspectionImage) -> bytes:
    """Return the PNG of a picture.

    Raises:
        PictureGone: it is not kept any more.
        tenants.storage.StorageUnavailable: the store is away.
    """
    return _read(image, "content", image.object_key)


def thumbnail_of(image: InspectionImage) -> bytes:
    """Return the small WebP of a picture; errors as in `content_of`."""
    return _read(image, "thumbnail", image.thumbnail_key)


def _read(image: InspectionImage, field: str, key: str) -> bytes:
    # First here: what waits is not in the store, and a store that is away takes seconds to say so.
    waiting = PendingPicture.objects.filter(pk=image.pk).values_list(field, flat=True).first()
    if waiting is not None:
        return bytes(waiting)
    if not key:
        raise PictureGone
    try:
        return storage.get_bytes(key=key)
    except storage.ObjectMissing as error:
        raise PictureGone from error


def discard(image: InspectionImage) -> None:
    """Remove the pixels of a picture, wherever they lie; doing it again is no error.

    In a transaction of the caller's.

    Raises:
        tenants.storage.StorageUnavailable: they may still be there.
    """
    # First what waits: whoever is bringing it to the store right now is waited for.
    PendingPicture.objects.filter(pk=image.pk).delete()
    for key in (image.object_key, image.thumbnail_key):
        if key:
            storage.delete(key=key)
