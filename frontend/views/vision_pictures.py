"""One picture: looked at, labelled, mended; the queue of those to look at; their bytes."""

from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from frontend import vision_pages, vision_picture
from frontend.pages import may, page
from frontend.views.maintenance import done
from frontend.views.vision import plan_of
from frontend.vision_forms import LabelForm, NotRegions, regions_said
from mlops import picture_store, selectors, services
from mlops.api.picture_files import picture_answer
from mlops.models import InspectionImage, VisionSetup
from mlops.services import RegionSaid
from production import selectors as production_selectors
from production import services as production_services
from production.models.plant import Status
from tenants.requests import PortalRequest
from tenants.storage import StorageUnavailable

MENDING = frozenset({"miss", "false_alarm"})
Label = InspectionImage.Label


@require_GET
@page("mlops.view")
def picture(request: PortalRequest, image_id: UUID) -> HttpResponse:
    image, at = _image(image_id), timezone.now()
    context = _looking(request, image) | {
        "head": vision_pages.head_of(
            image.plan, vision_pages.standing_of(image.plan, at=at)
        ),
        "may_manage": may(request, "production.manage"),
        "back": "",
    }  # fmt: skip
    return render(request, "frontend/vision/picture.html", context)


def _looking(request: PortalRequest, image: InspectionImage) -> dict[str, Any]:
    defects = list(production_selectors.defect_types().filter(status=Status.ACTIVE))
    return {
        "view": vision_picture.picture_page(image, defects, at=timezone.now()),
        "image": image,
        "request_id": uuid4(),
        "may_record": may(request, "production.record"),
        "may_learn": may(request, "mlops.train"),
    }


@require_GET
@page("mlops.view")
def queue(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    """Show the picture that is most worth a look; `after` names one that was passed over."""
    found = plan_of(inspection_plan_id)
    after = InspectionImage.objects.filter(plan=found, pk=_id(request.GET.get("after"))).first()
    image = selectors.next_in_queue(found.pk, after=after)
    counts = vision_pages.standing_of(found, at=timezone.now())
    context: dict[str, Any] = {
        "head": vision_pages.head_of(found, counts),
        "n_doubtful": counts.n_doubtful,
        "is_end_of_passed": image is None and after is not None and counts.n_waiting > 0,
        "back": "queue",
    }
    if image is not None:
        context |= _looking(request, _image(image.pk))
    return render(request, "frontend/vision/queue.html", context)


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None


# -- what people say


@require_POST
@page("production.record")
def label(request: PortalRequest, image_id: UUID) -> HttpResponse:
    """Take what somebody says of a picture: a label, a miss or a false alarm to mend."""
    image, action = _image(image_id), request.POST.get("action", "label")
    if action in MENDING and not may(request, "mlops.train"):
        raise PermissionDenied("mlops.train")
    url = reverse("frontend:quality-vision-picture", args=[image.pk])
    sent = request.POST.copy()
    if action in MENDING:  # these buttons say by themselves what the picture shows
        sent["label"] = Label.DEFECT if action == "miss" else Label.GOOD
    form = LabelForm(sent)
    if not form.is_valid():
        return _refuse(request, "Say good, defective or not usable.", url)
    said = form.cleaned_data
    try:
        regions = regions_said(said["regions"]) if said["label"] == Label.DEFECT else []
        words = _say(request, image, action, said, regions)
    except (
        NotRegions, services.LabelRefused, services.PictureUnknown, production_services.Refused
    ) as refusal:  # fmt: skip
        return _refuse(request, str(refusal), url)
    if words:
        messages.success(request, words)
    if request.POST.get("back") == "queue":
        url = reverse("frontend:quality-vision-queue", args=[image.plan_id])
    return done(request, url)


def _say(
    request: PortalRequest, image: InspectionImage, action: str, said: dict[str, Any],
    regions: list[RegionSaid],
) -> str:  # fmt: skip
    common: dict[str, Any] = {
        "image_id": image.pk, "by": request.user, "at": timezone.now(), "note": said["note"],
        "request_id": said["request_id"],
    }  # fmt: skip
    if action == "miss":
        job = services.fix_miss(regions=regions, **common)
    elif action == "false_alarm":
        job = services.fix_false_alarm(**common)
    else:
        services.label_picture(label=said["label"], regions=regions, **common)
        return ""
    if job is None:
        return "It is taught. A version is learned once there are enough pictures."
    return "It is taught, and a new version is being learned. It serves once it proves itself."


def _refuse(request: PortalRequest, text: str, url: str) -> HttpResponse:
    """Say why a form was not taken; what was marked is kept by its script."""
    if request.headers.get("X-Takt-Keep"):
        return JsonResponse({"error": text}, status=409)
    messages.error(request, text)
    return redirect(url)


@require_POST
@page("mlops.train")
def keep(request: PortalRequest, image_id: UUID) -> HttpResponse:
    """Take a picture into the regression set, or out of it."""
    image, is_kept = _image(image_id), request.POST.get("kept") == "yes"
    try:
        services.keep_picture(image_id=image.pk, is_kept=is_kept, by=request.user)
    except services.PictureUnknown as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(
            request, "It is in the regression set." if is_kept else "It left the regression set."
        )
    if request.POST.get("back") == "regression":
        return redirect("frontend:quality-vision-regression", inspection_plan_id=image.plan_id)
    return redirect("frontend:quality-vision-picture", image_id=image.pk)


@require_POST
@page("production.manage")
def golden(request: PortalRequest, image_id: UUID) -> HttpResponse:
    """Compare parts with this picture from the next learning on."""
    image = _image(image_id)
    setup = selectors.vision_setup(image.plan)
    in_force = production_selectors.version_in_force(image.plan) or image.plan
    fields = services.SetupFields(
        mode=VisionSetup.Mode.GOLDEN, golden_id=image.pk, parts_per_day=setup.parts_per_day,
        defective_share=setup.defective_share, limit=setup.limit, keep_days=setup.keep_days,
        escape_cost_minor=in_force.escape_cost_minor,
        false_reject_cost_minor=in_force.false_reject_cost_minor,
    )  # fmt: skip
    try:
        services.save_setup(plan_id=image.plan_id, fields=fields, by=request.user)
    except services.SetupRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "It is the golden picture. Learn to compare with it.")
    return redirect("frontend:quality-vision-picture", image_id=image.pk)


# -- bytes


@require_GET
@page("mlops.view")
def content(request: PortalRequest, image_id: UUID) -> HttpResponse:
    """Answer the picture as a file that no browser takes for anything else."""
    image = _image(image_id)
    try:
        return picture_answer(picture_store.content_of(image), name=f"{image.pk}.png")
    except picture_store.PictureGone:
        raise Http404 from None
    except StorageUnavailable:
        return _away()


@require_GET
@page("mlops.view")
def thumbnail(request: PortalRequest, image_id: UUID) -> HttpResponse:
    image = _image(image_id)
    try:
        small = picture_store.thumbnail_of(image)
    except picture_store.PictureGone:
        raise Http404 from None
    except StorageUnavailable:
        return _away()
    return picture_answer(small, name=f"{image.pk}.webp", content_type="image/webp")


@require_GET
@page("mlops.view")
def heat(request: PortalRequest, image_id: UUID) -> HttpResponse:
    """Answer where the picture is unlike the good ones, by the newest verdict."""
    said = selectors.newest_verdict(_image(image_id))
    if said is None or said.heat is None:
        raise Http404
    return picture_answer(bytes(said.heat), name=f"{image_id}-heat.png")


def _away() -> HttpResponse:
    return HttpResponse("The store for pictures does not answer.", status=503)


def _image(image_id: UUID) -> InspectionImage:
    try:
        return selectors.inspection_image(image_id)
    except InspectionImage.DoesNotExist:
        raise Http404 from None
