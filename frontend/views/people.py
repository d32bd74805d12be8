"""Who belongs to the factory, and who did what."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend import staff
from frontend.forms import InviteForm
from frontend.pages import may, page
from tenants import people, selectors
from tenants.models import Membership, Role
from tenants.requests import PortalRequest
from tenants.standing import works_read_only

ENTRIES_A_PAGE = 50


@require_http_methods(["GET", "POST"])
@page("members.view")
def members(request: PortalRequest) -> HttpResponse:
    may_manage = may(request, "members.manage")
    form = InviteForm(request.POST or None) if may_manage else None
    if request.method == "POST":
        if form is None:
            raise Http404
        if form.is_valid() and _invite(request, form):
            return redirect("frontend:people")
    context = {
        "members": staff.rows(people.members(request.factory), reader=request.membership),
        "invitations": people.open_invitations(request.factory, at=timezone.now()),
        "form": form,
        "roles": staff.grantable(request.membership),
        "role_words": staff.role_words(),
        "may_manage": may_manage,
    }
    status = 422 if form is not None and form.errors else 200
    return render(request, "frontend/people.html", context, status=status)


def _invite(request: PortalRequest, form: InviteForm) -> bool:
    email = form.cleaned_data["email"]
    try:
        people.invite(
            factory=request.factory,
            email=email,
            role=form.cleaned_data["role"],
            actor=request.membership,
            at=timezone.now(),
        )
    except people.OwnersOnly:
        form.add_error("role", "Only an owner makes an owner.")
        return False
    except people.TooManyPeople as refusal:
        form.add_error(None, str(refusal))
        return False
    messages.success(request, f"A letter is on its way to {email}. Its link works for 7 days.")
    return True


@require_POST
@page("members.manage")
def member_role(request: PortalRequest, membership_id: int) -> HttpResponse:
    if not people.members(request.factory).filter(pk=membership_id).exists():
        raise Http404
    role = request.POST.get("role", "")
    if role not in Role.values:
        messages.error(request, "There is no such role.")
        return redirect("frontend:people")
    try:
        people.change_role(
            membership_id=membership_id,
            factory=request.factory,
            role=role,
            actor=request.membership,
        )
    except (people.OwnersOnly, people.LastOwner) as refusal:
        messages.error(request, staff.refusal_words(refusal))
    else:
        messages.success(request, "The role is changed.")
    return redirect("frontend:people")


@works_read_only
@require_POST
@page("members.manage")
def member_remove(request: PortalRequest, membership_id: int) -> HttpResponse:
    try:
        people.remove_member(
            membership_id=membership_id, factory=request.factory, actor=request.membership
        )
    except Membership.DoesNotExist:
        raise Http404 from None
    except (people.OwnersOnly, people.LastOwner) as refusal:
        messages.error(request, staff.refusal_words(refusal))
    else:
        messages.success(request, "The person no longer belongs to this factory.")
    return redirect("frontend:people")


@require_GET
@page("audit.view")
def audit(request: PortalRequest) -> HttpResponse:
    entries = Paginator(selectors.audit_entries(request.factory), ENTRIES_A_PAGE)
    chosen = entries.get_page(request.GET.get("page"))
    rows = [staff.audit_row(entry) for entry in chosen]
    return render(request, "frontend/audit.html", {"entries": rows, "chosen": chosen})
