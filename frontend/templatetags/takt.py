"""Tags and filters of the portal's templates: icons, states, bars, and the formats in words."""

from datetime import UTC, datetime
from uuid import uuid4

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_vite.templatetags.django_vite import vite_asset_url

from frontend import formats
from frontend.words import SEVERITY_WORDS, STATE_WORDS

register = template.Library()
HIDDEN = SafeString(' aria-hidden="true"')

register.filter("figure", formats.figure)
register.filter("amount", formats.amount)
register.filter("length", formats.length)
register.filter("clock", formats.clock)
register.filter("day", formats.day)
register.filter("long_day", formats.long_day)
register.filter("moment", formats.moment)
register.filter("exact", formats.exact)


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
    px = 16 if size == "sm" else 20
    return _svg(f"ico {size}".strip(), px, HIDDEN, f"i-{name}")


@register.simple_tag
def request_id() -> str:
    """Make the id of a form's request: however often the form is sent, it counts once."""
    return str(uuid4())


@register.simple_tag
def glyph(state: str) -> SafeString:
    return _svg("glyph", 18, HIDDEN, f"s-{state}")


@register.simple_tag
def severity(level: int) -> SafeString:
    label = format_html(' role="img" aria-label="{}"', SEVERITY_WORDS.get(level, ""))
    return _svg(f"sev sev-{level}", 22, label, f"a-{level}")


def _svg(kind: str, px: int, attributes: SafeString, symbol: str) -> SafeString:
    # The size is in the markup too, so that nothing jumps while the styles load.
    return format_html(
        '<svg class="{}" width="{}" height="{}"{}><use href="{}#{}"/></svg>',
        kind,
        px,
        px,
        attributes,
        _sprite(),
        symbol,
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
