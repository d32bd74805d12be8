"""Rules of alarms: the list, the editor with its preview, and YAML in and out."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend.alarm_form import RuleForms
from frontend.alarm_preview import PreviewCard, card
from frontend.pages import may, page
from telemetry.alarms import parsing, sentences
from telemetry.alarms.rulebook import MAX_BYTES, BadRulebook
from telemetry.models import AlarmRule
from telemetry.selectors import alarm_preview, alarm_sources
from telemetry.selectors import alarms as selectors
from telemetry.services import alarm_rules as services
from tenants import people
from tenants.requests import PortalRequest

RANGES = {"1": "Last day", "7": "Last 7 days", "30": "Last 30 days"}
COUNTED = timedelta(days=30)


@dataclass(frozen=True)
class RuleRow:
    id: int
    name: str
    words: str
    scope: str
    severity: int
    n_alarms: int
    enabled: bool


@require_GET
@page("telemetry.view")
def rule_list(request: PortalRequest) -> HttpResponse:
    names = {
        key: source.name
        for target in alarm_sources.targets()
        for key, source in target.sources.items()
    }
    counts = selectors.n_alarms_by_rule(since=timezone.now() - COUNTED)
    rows = [
        RuleRow(
            id=rule.pk,
            name=rule.name,
            words=sentences.describe(parsing.parse(rule.condition), names),
            scope=str(rule.machine or rule.machine_type or rule.line or "The whole factory"),
            severity=rule.severity,
            n_alarms=counts.get(rule.pk, 0),
            enabled=rule.enabled,
        )
        for rule in selectors.rules()
    ]
    context = {"rules": rows, "may_manage": may(request, "telemetry.manage_alarms")}
    return render(request, "frontend/alarms/rules.html", context)


@require_http_methods(["GET", "POST"])
@page("telemetry.manage_alarms")
def rule_new(request: PortalRequest) -> HttpResponse:
    return _edit(request, None)


@require_http_methods(["GET", "POST"])
@page("telemetry.manage_alarms")
def rule_edit(request: PortalRequest, rule_id: int) -> HttpResponse:
    return _edit(request, _rule(rule_id))


def _edit(request: PortalRequest, rule: AlarmRule | None) -> HttpResponse:
    is_sent = request.method == "POST"
    asked = RuleForms(
        request.POST if is_sent else None,
        rule=rule,
        targets=alarm_sources.targets(),
        members=people.members(request.factory),
    )
    context: dict[str, Any] = {
        "rule": rule,
        "forms": asked,
        "ranges": RANGES,
        "url": reverse("frontend:alarm-rule", args=[rule.pk])
        if rule
        else reverse("frontend:alarm-rule-new"),
    }
    status = 200
    if is_sent and asked.is_valid():
        try:
            if "preview" not in request.POST:
                return _save(request, rule, asked.fields())
            context["preview"] = _preview(request, asked.fields())
        except services.BadRule as error:
            for path, text in error.errors.items():
                asked.rule.add_error(None, f"{path}: {text}")
        except (services.TooManyRules, alarm_preview.TooMuch) as error:
            asked.rule.add_error(None, str(error) or "There are as many rules as may be.")
    if is_sent and any(form.errors for form in asked.forms):
        status = 422
    return render(request, "frontend/alarms/rule.html", context, status=status)


def _save(request: PortalRequest, rule: AlarmRule | None, fields: dict[str, Any]) -> HttpResponse:
    at = timezone.now()
    if rule is None:
        services.create_rule(fields=fields, by=request.user, at=at)
        messages.success(request, f"{fields['name']} watches from now on.")
    else:
        services.change_rule(rule=rule, changes=fields, by=request.user, at=at)
        messages.success(request, f"{fields['name']} is changed.")
    return redirect("frontend:alarm-rules")


def _preview(request: PortalRequest, fields: dict[str, Any]) -> PreviewCard:
    end = timezone.now()
    asked = request.POST.get("range", "7")
    start = end - timedelta(days=int(asked) if asked in RANGES else 7)
    draft = services.draft(fields=fields, at=end)
    return card(alarm_preview.preview(draft, start=start, end=end), start=start, end=end)


@require_POST
@page("telemetry.manage_alarms")
def rule_switch(request: PortalRequest, rule_id: int) -> HttpResponse:
    """Switch a rule on or off, or delete it."""
    rule = _rule(rule_id)
    if request.POST.get("action") == "delete":
        services.delete_rule(rule=rule, by=request.user)
        messages.success(request, f"{rule.name} is deleted.")
    else:
        changes = {"enabled": not rule.enabled}
        services.change_rule(rule=rule, changes=changes, by=request.user, at=timezone.now())
        messages.success(request, f"{rule.name} is {'on' if rule.enabled else 'off'}.")
    return redirect("frontend:alarm-rules")


@require_GET
@page("telemetry.view")
def rules_export(request: PortalRequest) -> HttpResponse:
    response = HttpResponse(services.export_rules(), content_type="application/yaml")
    name = f"{request.factory.schema_name}-alarm-rules.yaml"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@require_http_methods(["GET", "POST"])
@page("telemetry.manage_alarms")
def rules_import(request: PortalRequest) -> HttpResponse:
    """Try a text, then bring the rules in line with it."""
    context: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        sent = request.FILES.get("file")
        text = request.POST.get("text", "")
        if sent is not None:
            text = sent.read(MAX_BYTES + 1).decode("utf-8", "replace")
        context["text"] = text
        try:
            done = services.import_rules(
                text=text,
                dry_run="apply" not in request.POST,
                by=request.user,
                at=timezone.now(),
            )
        except BadRulebook as error:
            context["errors"], status = error.errors, 422
        except services.TooManyRules:
            context["errors"] = [{"rule": "", "path": "", "message": "Too many rules."}]
            status = 422
        else:
            if "apply" in request.POST:
                n = len(done.created) + len(done.changed)
                messages.success(request, f"{n} rules made or changed.")
                return redirect("frontend:alarm-rules")
            context["done"] = done
            context["words"] = (
                f"{len(done.created)} would be made, {len(done.changed)} changed,"
                f" {len(done.unchanged)} stay as they are."
            )
    return render(request, "frontend/alarms/import.html", context, status=status)


def _rule(rule_id: int) -> AlarmRule:
    try:
        return selectors.rule(rule_id)
    except AlarmRule.DoesNotExist:
        raise Http404 from None
