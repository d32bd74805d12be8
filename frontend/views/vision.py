"""Visual inspection: all plans, one plan and how far it is taught, costs, what stays right."""

from typing import Any
from uuid import UUID

import structlog
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend import vision_costs, vision_forms, vision_pages
from frontend.pages import answer, may, page
from frontend.vision_forms import CostForm, UploadForm
from mlops import selectors, services
from mlops.models import InspectionImage, Kind, ModelVersion, VisionSetup
from mlops.vision import pictures
from mlops.vision.pictures import PictureRefused
from mlops.vision.thresholds import limit_of
from production import selectors as production_selectors
from production import services as production_services
from production.models import DefectType, InspectionPlan
from tenants.limits import LimitReached
from tenants.requests import PortalRequest

log = structlog.get_logger()

N_A_PAGE = 24
SHOWN = (
    ("", "All"),
    ("waiting", "Not labelled"),
    ("rejected", "Rejected"),
    ("good", "Good"),
    ("defect", "Defective"),
    ("unusable", "Not usable"),
    ("kept", "Regression set"),
)
Label = InspectionImage.Label


@require_GET
@page("mlops.view")
def plan_list(request: PortalRequest) -> HttpResponse:
    rows, others = vision_pages.plan_rows(at=timezone.now())
    context = {
        "rows": rows,
        "others": others,
        "words": vision_pages.list_words(rows),
        "may_manage": may(request, "production.manage"),
    }
    return render(request, "frontend/vision/list.html", context)


@require_GET
@page("mlops.view")
def plan(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    found, show = plan_of(inspection_plan_id), request.GET.get("show", "")
    images = Paginator(_shown(found, show), N_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "view": vision_pages.plan_page(
            found, list(images), at=timezone.now(), may_learn=may(request, "mlops.train"),
            judging=bool(request.GET.get("judging")),
        ),
        "page": images,
        "show": show,
        "choices": SHOWN,
        "form": UploadForm(),
        "may_record": may(request, "production.record"),
        "may_learn": may(request, "mlops.train"),
    }  # fmt: skip
    return answer(request, "frontend/vision/plan.html", context, part="live")


def _shown(found: InspectionPlan, show: str) -> QuerySet[InspectionImage]:
    rows = selectors.images_of(found.pk)
    if show == "waiting":
        return rows.filter(label=Label.NONE)
    if show == "rejected":
        return rows.filter(Q(verdicts__verdict="fail", verdicts__is_shadow=False)).distinct()
    if show == "kept":
        return rows.filter(is_kept=True)
    if show in Label.values and show:
        return rows.filter(label=show)
    return rows


# -- taking pictures in


@require_POST
@page("production.record")
def upload(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    """Take several pictures at once; one that is refused loses nothing of the others.

    The script of the page sends them one by one and is answered with JSON.
    """
    found, form = plan_of(inspection_plan_id), UploadForm(request.POST)
    label = form.cleaned_data["label"] if form.is_valid() else ""
    taken, refused = [], []
    for file in request.FILES.getlist("pictures"):
        try:
            taken.append(_taken(request, found, file, label))
        except (PictureRefused, services.TooManyPending, LimitReached) as refusal:
            refused.append({"name": file.name or "A picture", "why": str(refusal)})
    is_asked = services.ask_to_judge(plan_id=found.pk, image_ids=[i.pk for i in taken]) is not None
    url = reverse("frontend:quality-vision-plan", args=[found.pk])
    next_url = f"{url}?judging=1" if is_asked else url
    if request.headers.get("X-Takt-Keep"):
        return JsonResponse({"next": next_url, "n_taken": len(taken), "refused": refused})
    _tell(request, len(taken), refused)
    return redirect(next_url)


def _taken(
    request: PortalRequest, found: InspectionPlan, file: "UploadedFile[Any]", label: str
) -> InspectionImage:
    image, _is_new = services.add_picture(
        plan_id=found.pk, content=file.read(pictures.MAX_BYTES + 1),
        source=InspectionImage.Source.UPLOAD, at=timezone.now(), name=file.name or "",
        label=label, by=request.user,
    )  # fmt: skip
    return image


def _tell(request: PortalRequest, n_taken: int, refused: list[dict[str, str]]) -> None:
    if n_taken:
        messages.success(request, f"{n_taken} picture{'' if n_taken == 1 else 's'} taken.")
    for one in refused:
        messages.error(request, f"{one['name']}: {one['why']}")
    if not n_taken and not refused:
        messages.error(request, "Choose one picture or more.")


@require_POST
@page("mlops.train")
def learn(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    """Begin to learn, or end a learning that waits or runs."""
    found = plan_of(inspection_plan_id)
    if request.POST.get("action") == "cancel":
        services.cancel_training(subject_id=found.pk, by=request.user, kind=Kind.VISION)
        messages.success(request, "Learning is cancelled.")
    else:
        try:
            services.request_training(
                subject_id=found.pk, by=request.user, kind=Kind.VISION, reason="Asked for by hand."
            )
        except services.NotReady as refusal:
            messages.error(request, str(refusal))
    return redirect("frontend:quality-vision-plan", inspection_plan_id=found.pk)


# -- what mistakes cost


@require_http_methods(["GET", "POST"])
@page("mlops.view")
def costs(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    """Show what each limit costs; a GET with fields previews them, a POST saves them."""
    found, currency = plan_of(inspection_plan_id), request.factory.currency
    in_force = production_selectors.version_in_force(found) or found
    setup, defects = selectors.vision_setup(found), list(production_selectors.defect_types())
    champion = selectors.champion(subject_id=found.pk, kind=Kind.VISION)
    now = limit_of(champion, setup, in_force) if champion else None
    initial = vision_forms.cost_initial(setup, in_force, defects, limit=now, currency=currency)
    may_manage = may(request, "production.manage")
    sent = request.POST if request.method == "POST" and may_manage else request.GET
    form = CostForm(
        sent if "parts_per_day" in sent else initial, defects=defects, currency=currency
    )
    if form.is_valid() and request.method == "POST" and may_manage:
        _save_costs(request, found, setup, form, defects)
        return redirect("frontend:quality-vision-costs", inspection_plan_id=found.pk)
    context = {
        "head": vision_pages.head_of(
            found, vision_pages.standing_of(found, at=timezone.now())
        ),
        "form": form,
        "setup": setup,
        "champion": champion,
        "preview": _preview(form, champion, in_force, setup, defects, now, currency),
        "is_changed": "parts_per_day" in sent,
        "may_manage": may_manage,
    }  # fmt: skip
    status = 422 if request.method == "POST" and form.errors else 200
    return answer(request, "frontend/vision/costs.html", context, part="preview", status=status)


def _preview(
    form: CostForm, champion: ModelVersion | None, in_force: InspectionPlan, setup: VisionSetup,
    defects: list[DefectType], now: float | None, currency: str,
) -> vision_costs.CostPreview | None:  # fmt: skip
    if champion is None or now is None or not form.is_valid():
        return None
    return vision_costs.preview(
        champion, in_force, setup, form.setup_fields(setup), form.own_costs(), now=now,
        currency=currency, names={defect.code: defect.name for defect in defects},
    )  # fmt: skip


def _save_costs(
    request: PortalRequest, found: InspectionPlan, setup: VisionSetup, form: CostForm,
    defects: list[DefectType],
) -> None:  # fmt: skip
    try:
        services.save_setup(plan_id=found.pk, fields=form.setup_fields(setup), by=request.user)
    except services.SetupRefused as refusal:
        messages.error(request, str(refusal))
        return
    own_costs = form.own_costs()
    for defect in defects:
        if own_costs[defect.code] != defect.escape_cost_minor:
            production_services.save_defect_type(
                code=defect.code, name=defect.name, severity=defect.severity,
                escape_cost_minor=own_costs[defect.code],
            )  # fmt: skip
    messages.success(request, "Saved. Pictures are judged by it from now on.")


# -- what stays right, who disagrees


@require_GET
@page("mlops.view")
def regression(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    found = plan_of(inspection_plan_id)
    context = {
        "view": vision_pages.regression_page(found, at=timezone.now()),
        "may_learn": may(request, "mlops.train"),
        "is_learning": services.open_training(subject_id=found.pk, kind=Kind.VISION) is not None,
    }
    return answer(request, "frontend/vision/regression.html", context, part="live")


@require_POST
@page("mlops.train")
def judge_anew(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    """Have the version in service judge the regression set and what waits."""
    found = plan_of(inspection_plan_id)
    if services.ask_to_judge_anew(plan_id=found.pk) is None:
        messages.success(request, "The version in service has seen them all.")
    else:
        messages.success(request, "They are being judged. Load the page again in a moment.")
    return redirect("frontend:quality-vision-regression", inspection_plan_id=found.pk)


@require_GET
@page("mlops.view")
def disagreements(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    found, at = plan_of(inspection_plan_id), timezone.now()
    rows = vision_pages.disputed_rows(found, at=at)
    context = {
        "head": vision_pages.head_of(found, vision_pages.standing_of(found, at=at)),
        "rows": rows,
        "n": len(rows),
        "pairs": vision_pages.agreement_rows(found),
    }
    return render(request, "frontend/vision/disagreements.html", context)


def plan_of(inspection_plan_id: UUID) -> InspectionPlan:
    """Return the first version of a plan, to which its pictures belong."""
    try:
        return production_selectors.first_version(inspection_plan_id)
    except InspectionPlan.DoesNotExist:
        raise Http404 from None
