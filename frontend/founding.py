"""A person's factories, and how far a new one is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from billing import plans
from billing import services as billing_services
from frontend.context import initials
from tenants import entry, leaving, people, selectors
from tenants.models import Departure, Factory, Job, User

GONE_SHOWN_FOR = timedelta(days=183)
_REASONS = {
    Departure.Reason.PAYMENT.value: "because it was not paid",
    Departure.Reason.CANCELLED.value: "after it was cancelled",
    Departure.Reason.OWNER.value: "as an owner asked",
}
STEPS = (
    ("Your place is reserved", 0.0),
    ("Making room for your data", 0.1),
    ("Opening the portal", 0.9),
)


_WANTED = "wanted_plan"  # in the session, from the sign-up to the first factory


@dataclass(frozen=True)
class Place:
    """A factory in the list of those that a person belongs to."""

    name: str
    initials: str
    role: str
    url: str
    is_ready: bool
    words: str


@dataclass(frozen=True)
class Step:
    label: str
    is_done: bool


@dataclass(frozen=True)
class Progress:
    """How far the making of a factory is."""

    job_id: UUID
    name: str
    host: str
    percent: int
    message: str
    steps: tuple[Step, ...]
    is_ready: bool
    has_failed: bool
    url: str
    took: str

    @property
    def is_open(self) -> bool:
        return not self.is_ready and not self.has_failed

    @property
    def code(self) -> str:
        return self.job_id.hex[:8]


def places_of(user: User) -> list[Place]:
    words = {
        Factory.State.CREATING: "Being created",
        Factory.State.FAILED: "Could not be created",
    }
    places = []
    for membership in people.factories_of(user):
        factory = membership.factory
        is_ready = factory.state == Factory.State.ACTIVE
        url = (
            reverse("to-factory", args=[factory.schema_name])
            if is_ready
            else _progress_url(factory)
        )
        places.append(
            Place(
                name=factory.name,
                initials=initials(factory.name),
                role=membership.get_role_display(),
                url=url,
                is_ready=is_ready,
                words=words.get(Factory.State(factory.state), ""),
            )
        )
    return places


@dataclass(frozen=True)
class Gone:
    """A factory that was deleted, for those who belonged to it."""

    name: str
    words: str


def gone_of(user: User, *, at: datetime) -> list[Gone]:
    """Return the factories of a person that were deleted in the last half year."""
    found = leaving.departures_of(user).filter(removed_at__gt=at - GONE_SHOWN_FOR)
    return [
        Gone(one.factory_name, f"Deleted on {one.removed_at:%Y-%m-%d}, {_REASONS[one.reason]}")
        for one in found
    ]


def _progress_url(factory: Factory) -> str:
    job = selectors.founding_job(factory)
    return (
        reverse("frontend:factory-progress", args=[job.pk])
        if job
        else reverse("frontend:factories")
    )


def progress_of(job_id: UUID, *, user: User) -> Progress | None:
    """Say how far a factory is; None for a stranger, as if there were no such job."""
    found = selectors.founding(job_id=job_id, user=user)
    if found is None:
        return None
    job, factory = found
    is_ready = factory.state == Factory.State.ACTIVE
    has_failed = not is_ready and job.state in (Job.State.FAILED, Job.State.DEAD)
    done = 1.0 if is_ready else job.progress
    seconds = (factory.ready_at - factory.created_at).total_seconds() if factory.ready_at else None
    return Progress(
        job_id=job.pk,
        name=factory.name,
        host=entry.portal_url(factory, "").removeprefix("https://"),
        percent=max(3, round(done * 100)),
        message=job.message,
        steps=tuple(Step(label, is_ready or done > at) for label, at in STEPS),
        is_ready=is_ready,
        has_failed=has_failed,
        url=f"{settings.BASE_URL}{reverse('to-factory', args=[factory.schema_name])}?next=/start/",
        took=f"{seconds:.1f} s" if seconds is not None else "",
    )


def new_url(plan: str) -> str:
    """Return where a factory is named that is to begin with the trial of a plan."""
    return f"{reverse('frontend:factory-new')}?plan={plan}"


def trial_plan(key: str) -> plans.Plan | None:
    """Return a plan that can be tried, or None."""
    return next((plan for plan in plans.ALL if plan.key == key and plan.trial_days), None)


def remember_plan(*, request: HttpRequest, **_kwargs: Any) -> None:
    """Keep the plan that somebody signed up for until their factory is named.

    Called by allauth once an account is made; the address is confirmed between the two.
    """
    plan = trial_plan(request.GET.get("plan", ""))
    if plan is not None:
        request.session[_WANTED] = plan.key


def wanted_plan(request: HttpRequest) -> plans.Plan | None:
    """Return the plan that a new factory is to begin with on trial."""
    key = request.POST.get("plan", request.GET.get("plan"))
    return trial_plan(request.session.get(_WANTED, "") if key is None else key)


def begin_trial(request: HttpRequest, factory: Factory, plan: plans.Plan, *, by: User) -> None:
    """Put a factory that is being made on the trial of a plan."""
    billing_services.start_subscription(factory=factory, plan=plan.key, by=by, trial=True)
    request.session.pop(_WANTED, None)
