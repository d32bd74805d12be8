"""The pictures of a lot and of an inspection, as cards of their pages."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from frontend.lot_page import LotCard
from frontend.vision_rows import PictureRow, picture_rows
from mlops import selectors as mlops_selectors
from production.models import Lot

MOST_SHOWN = 12


@dataclass(frozen=True)
class PicturesCard:
    rows: tuple[PictureRow, ...]
    n: int

    @property
    def n_more(self) -> int:
        return self.n - len(self.rows)


def card_of_lot(lot: Lot) -> LotCard | None:
    """Return the card of a lot's pictures, or nothing where there are none."""
    images = list(mlops_selectors.images_of_lot(lot.pk)[: MOST_SHOWN + 1])
    if not images:
        return None
    n = mlops_selectors.images_of_lot(lot.pk).count() if len(images) > MOST_SHOWN else len(images)
    rows = picture_rows(images[:MOST_SHOWN], at=timezone.now())
    content = PicturesCard(tuple(rows), n)
    return LotCard("pictures", "frontend/vision/lot_card.html", content)


def card_of_inspection(inspection_id: UUID, *, at: datetime) -> PicturesCard | None:
    """Return the card of an inspection's pictures, or nothing where there are none."""
    images = list(mlops_selectors.images_of_inspection(inspection_id)[:MOST_SHOWN])
    return PicturesCard(tuple(picture_rows(images, at=at)), len(images)) if images else None
