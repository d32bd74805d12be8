"""My factories, a new one with its progress, and invitations to others."""

from typing import cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from frontend import founding
from frontend.forms import FactoryForm
from frontend.pages import answer
from telemetry import live
from tenants import jobs, names, people, services
from tenants.context import PUBLIC
from tenants.models import User


@require_GET
@never_cache
@login_required
def factories(request: HttpRequest) -> HttpResponse:
    places = founding.places_of(cast("User", request.user))
    return render(
        request,
        "frontend/public/factories.html",
        {
            "memberships": [p for p in places if p.is_ready],
            "pending": [p for p in places if not p.is_ready],
            "gone": founding.gone_of(cast("User", request.user), at=timezone.now()),
        },
    )


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
def factory_new(request: HttpRequest) -> HttpResponse:
    form, user = FactoryForm(request.POST or None), cast("User", request.user)
    plan = founding.wanted_plan(request)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                factory, job = services.request_factory(owner=user, **form.cleaned_data)
                if plan is not None:
                    founding.begin_trial(request, factory, plan, by=user)
        except services.NameNotUsable:
            form.add_error(
                "name", "Use at least three letters or digits: the address is made of them."
            )
        except services.TooManyFactories:
            form.add_error(
                None,
                f"You own {services.MAX_FACTORIES_A_PERSON} factories, which is the most one may.",
            )
        else:
            return redirect("frontend:factory-progress", job_id=job.pk)
    status = 422 if form.errors else 200
    context = {"form": form, "plan": plan}
    return render(request, "frontend/public/factory_new.html", context, status=status)


@require_GET
@never_cache
@login_required
def factory_progress(request: HttpRequest, job_id: UUID) -> HttpResponse:
    progress = founding.progress_of(job_id, user=cast("User", request.user))
    if progress is None:
        raise Http404
    context = {"progress": progress}
    return answer(request, "frontend/public/factory_progress.html", context, part="progress")


@require_GET
@never_cache
@login_required
def factory_progress_stream(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """Stream that the creation of a factory has come further."""
    if founding.progress_of(job_id, user=cast("User", request.user)) is None:
        raise Http404
    channel = names.channel("live", schema=PUBLIC)
    return live.response(live.topic_events(channel, topic=jobs.topic(job_id)))


@require_GET
@never_cache
@login_required
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Make the reader of an invitation a member and take them to the factory."""
    try:
        membership = people.accept_invitation(
            token=token, user=cast("User", request.user), at=timezone.now()
        )
    except people.InvitationRefused:
        messages.error(
            request, "This invitation is used, too old, or was written to another address."
        )
        return redirect("frontend:factories")
    except people.TooManyPeople:
        messages.error(
            request,
            "The factory's plan has no room for another person now. Ask an owner to make room; the"
            " link in your letter goes on working.",
        )
        return redirect("frontend:factories")
    return HttpResponseRedirect(
        f"{settings.BASE_URL}{reverse('to-factory', args=[membership.factory.schema_name])}"
    )
