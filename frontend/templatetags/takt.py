"""Tags and filters of the portal's templates: icons, states, bars, and the formats in words."""

from datetime import UTC, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_vite.templatetags.django_vite import vite_asset_url

from frontend import formats
from frontend.words import SEVERITY_WORDS, STATE_WORDS

register = template.Library()

register.filter("figure", formats.figure)
register.filter("amount", formats.amount)
register.filter("length", formats.length)
register.filter("clock", formats.clock)
register.filter("day", formats.day)
register.filter("long_day", formats.long_day)
register.filter("moment", formats.moment)


@register.filter
def money(minor: int | None, currency: str = "EUR") -> str:
    return formats.money(minor, currency)


@register.filter
def money_whole(minor: int | None, currency: str = "EUR") -> str:
    return formats.money(minor, currency, whole=True)


@register.filter
def ago(at: datetime | None) -> str:
    if at is None:
        return formats.DASH
    return f"{formats.length((datetime.now(UTC) - at).total_seconds())} ago"


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    """Draw an outline icon from the sprite; the word beside it carries the meaning."""
    return format_html(
        '<svg class="ico {}" aria-hidden="true"><use href="{}#i-{}"/></svg>', size, _sprite(), name
    )


@register.simple_tag
def glyph(state: str) -> SafeString:
    return format_html(
        '<svg class="glyph" aria-hidden="true"><use href="{}#s-{}"/></svg>', _sprite(), state
    )


@register.simple_tag
def severity(level: int) -> SafeString:
    return format_html(
        '<svg class="sev sev-{}" role="img" aria-label="{}"><use href="{}#a-{}"/></svg>',
        level,
        SEVERITY_WORDS.get(level, ""),
        _sprite(),
        level,
    )


@register.filter
def state_word(state: str) -> str:
    return STATE_WORDS.get(state, state)


@register.simple_tag
def bar(share: float, kind: str = "", label: str = "") -> SafeString:
    """Draw how much of something is used, 0 to 1; more than all of it is drawn in the accent."""
    width = max(0.0, min(1.0, share)) * 100
    over = "accent" if share > 1 else ""
    return format_html(
        '<svg class="bar {}" role="img" aria-label="{}">'
        '<rect class="track" width="100%" height="100%"/>'
        '<rect class="fill {}" width="{}%" height="100%" rx="4"/></svg>',
        kind,
        label or f"{share:.0%}",
        over,
        f"{width:.1f}",
    )


def _sprite() -> str:
    return str(vite_asset_url("frontend/assets/sprite.svg"))
