"""What can be asked about pictures: which there are, what is to be looked at, who disagrees.

Pictures belong to the first version of an inspection plan (`production.selectors.first_version`);
a `plan_id` is that one's.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet, Value
from django.db.models.functions import Coalesce, TruncHour

from mlops.agreement import cohens_kappa
from mlops.models import ImageLabel, ImageVerdict, InspectionImage, VisionSetup
from production import selectors as production_selectors
from production.models import InspectionPlan
from telemetry.times import from_s
from tenants.context import current_schema
from tenants.models import User

# Behind every picture that has a doubt: those that no model has seen.
_NO_DOUBT_KNOWN = -1.0
# As SQL: the nightly proof asks it of every factory, and Django would take as long as PostgreSQL.
_IMAGES_BY_HOUR = """
    SELECT extract(epoch FROM hour)::bigint, machine_id, n FROM (
        SELECT date_bin('1 hour', p.received_at, timestamptz '1970-01-01 00:00:00+00') AS hour,
            i.machine_id, count(*) AS n
        FROM mlops_inspectionimage p LEFT JOIN production_inspection i ON i.id = p.inspection_id
        WHERE p.received_at >= %s AND p.received_at < %s
        GROUP BY hour, i.machine_id
    ) AS hours ORDER BY hour, machine_id
"""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A picture that people label differently: the newest label of each, by their ids."""

    image: InspectionImage
    labels: dict[int, str]


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How far two people agree on the pictures that both labelled.

    Attributes:
        share: 0 to 1.
        kappa: Cohen's kappa; None where it says nothing (`mlops.agreement`).
    """

    one: User
    other: User
    n: int
    n_agreed: int
    kappa: float | None

    @property
    def share(self) -> float:
        return self.n_agreed / self.n


def vision_setup(plan: InspectionPlan) -> VisionSetup:
    """Return how a plan's pictures are judged; defaults, not stored, where nobody has said.

    Any version of the plan may be named.
    """
    plan = production_selectors.first_version(plan.pk)
    found = VisionSetup.objects.filter(plan=plan).first()
    return found or VisionSetup(plan=plan)


def images_of(plan_id: UUID) -> QuerySet[InspectionImage]:
    """Return the pictures of a plan, newest first."""
    rows = InspectionImage.objects.filter(plan_id=plan_id)
    return rows.select_related("inspection__lot").order_by("-taken_at", "-pk")


def inspection_image(image_id: UUID) -> InspectionImage:
    """Return a picture with its plan, inspection and labels.

    Raises:
        InspectionImage.DoesNotExist: not in this factory.
    """
    rows = InspectionImage.objects.select_related("plan__product", "inspection__lot")
    return rows.prefetch_related("labels__by", "labels__regions__defect_type").get(pk=image_id)


def n_images(*, start: datetime, end: datetime) -> int:
    """Count the pictures that were taken in within [start, end)."""
    return InspectionImage.objects.filter(received_at__gte=start, received_at__lt=end).count()


def images_by_hour(*, start: datetime, end: datetime) -> list[tuple[datetime, UUID | None, int]]:
    """Return how many pictures were taken in, by UTC hour and machine: what billing pulls.

    Each picture counts once, in the hour in which it came, however often it is judged. The rows
    outlive the pixels, which retention removes, so an hour can be counted again at any time. The
    machine is that of the picture's inspection; None where it has none.
    """
    current_schema()  # outside a factory the tables of another would answer
    with connection.cursor() as cursor:
        cursor.execute(_IMAGES_BY_HOUR, [start, end])
        return [(from_s(seconds), machine_id, n) for seconds, machine_id, n in cursor.fetchall()]


def images_changed_since(at: datetime) -> set[datetime]:
    """Return the UTC hours whose counts may have changed since `at`.

    A picture becomes visible at the end of its transaction, seconds after it came: ask with an
    overlap of some minutes.
    """
    rows = InspectionImage.objects.filter(received_at__gte=at)
    hours = rows.annotate(hour=TruncHour("received_at", tzinfo=UTC))
    return set(hours.values_list("hour", flat=True))


def newest_verdict(image: InspectionImage) -> ImageVerdict | None:
    """Return what was last said of a picture by a version in service, with its heat."""
    rows = image.verdicts.filter(is_shadow=False).select_related("version")
    return rows.order_by("-made_at", "-pk").first()


def verdicts_of(plan_id: UUID) -> QuerySet[ImageVerdict]:
    """Return what versions in service said of a plan's pictures, newest first, without heat."""
    rows = ImageVerdict.objects.filter(image__plan_id=plan_id, is_shadow=False).defer("heat")
    related = ("version", "image__inspection__lot", "image__inspection__machine")
    return rows.select_related(*related).order_by("-made_at", "-pk")


def review_queue(plan_id: UUID) -> QuerySet[InspectionImage]:
    """Return the pictures that nobody has labelled, the most doubtful first, then the oldest.

    Pictures that no model has judged come last; those that are gone are left out.
    """
    rows = InspectionImage.objects.filter(plan_id=plan_id, label="").exclude(object_key="")
    worth = Coalesce("doubt", Value(_NO_DOUBT_KNOWN))
    rows = rows.annotate(worth=worth).select_related("inspection__lot")
    return rows.order_by("-worth", "taken_at", "pk")


def next_in_queue(plan_id: UUID, *, after: InspectionImage | None = None) -> InspectionImage | None:
    """Return the picture to look at next; `after` one that was passed over, the one behind it."""
    rows = review_queue(plan_id)
    if after is None or after.label:
        return rows.first()
    worth = _NO_DOUBT_KNOWN if after.doubt is None else after.doubt
    behind = (
        Q(worth__lt=worth)
        | Q(worth=worth, taken_at__gt=after.taken_at)
        | Q(worth=worth, taken_at=after.taken_at, pk__gt=after.pk)
    )
    return rows.filter(behind).first()


def disagreements(plan_id: UUID) -> list[Disagreement]:
    """Return the pictures on which the newest labels of two people differ, newest first."""
    images = images_of(plan_id).in_bulk(list(labels := _labels_by_person(plan_id)))
    found = [
        Disagreement(images[image_id], said)
        for image_id, said in labels.items()
        if len(set(said.values())) > 1
    ]
    return sorted(found, key=lambda one: (one.image.taken_at, one.image.pk), reverse=True)


def pair_agreements(plan_id: UUID) -> list[PairAgreement]:
    """Return how far each two people agree who labelled the same pictures of a plan."""
    pairs: dict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
    for said in _labels_by_person(plan_id).values():
        for one, other in combinations(sorted(said), 2):
            pairs[one, other].append((said[one], said[other]))
    people = User.objects.in_bulk({person for pair in pairs for person in pair})
    return [
        PairAgreement(
            people[one], people[other], len(said), sum(a == b for a, b in said), cohens_kappa(said)
        )
        for (one, other), said in sorted(pairs.items())
        if one in people and other in people
    ]


def _labels_by_person(plan_id: UUID) -> dict[UUID, dict[int, str]]:
    """Return person -> newest label of each picture that several people labelled.

    What was taken back does not count, nor what a program said.
    """
    several = (
        InspectionImage.objects.filter(plan_id=plan_id)
        .annotate(n_people=Count("labels__by", distinct=True))
        .filter(n_people__gt=1)
        .values("pk")
    )
    rows = ImageLabel.objects.filter(image__in=several, by__isnull=False)
    newest = rows.order_by("image_id", "by_id", "-at", "-pk").distinct("image_id", "by_id")
    return _grouped(newest.values_list("image_id", "by_id", "label"))


def _grouped(rows: Iterable[tuple[UUID, int | None, str]]) -> dict[UUID, dict[int, str]]:
    found: dict[UUID, dict[int, str]] = defaultdict(dict)
    for image_id, person, label in rows:
        if label and person is not None:
            found[image_id][person] = label
    return found
