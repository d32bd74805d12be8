"""What the pages about notifications show: the inbox, the choices, the webhooks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms

from frontend.forms import zones
from tenants.models import Delivery, Factory, User, WebhookEndpoint
from tenants.notifications import preferences
from tenants.notifications.preferences import Least, QuietChoice
from tenants.notifications.topics import topics

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LEASTS = [
    ("0", "Never"),
    ("1", "Critical only"),
    ("2", "High and up"),
    ("3", "Medium and up"),
    ("4", "Everything"),
]
EVERYTHING_ELSE = "Everything else"
STATE_WORDS = {
    Delivery.State.PLANNED: "On its way",
    Delivery.State.SENT: "Delivered",
    Delivery.State.FAILED: "Failed, tried again",
    Delivery.State.HELD: "Held",
    Delivery.State.DEAD: "Given up",
}


def topic_words(name: str) -> str:
    """Return what people call a topic; one that no floor has registered keeps its name."""
    found = {topic.name: topic.label for topic in topics()}
    return found.get(name, name.replace("_", " ").replace(".", " ").capitalize())


# -- the inbox


@dataclass(frozen=True)
class Notice:
    id: str
    subject: str
    text: str
    severity: int
    topic: str
    at: datetime
    path: str
    is_unread: bool


def notices(deliveries: Iterable[Delivery]) -> list[Notice]:
    return [
        Notice(
            id=str(told.pk),
            subject=told.subject,
            text=told.text,
            severity=told.severity,
            topic=topic_words(told.topic),
            at=told.at,
            path=told.path,
            is_unread=delivery.read_at is None,
        )
        for delivery in deliveries
        for told in [delivery.notification]
    ]


# -- the choices


class PreferencesForm(forms.Form):
    """From which severity on a person is told, by topic and channel, and when not."""

    starts = forms.TimeField(
        label="From", required=False, widget=forms.TimeInput({"type": "time"}, format="%H:%M")
    )
    ends = forms.TimeField(
        label="Until", required=False, widget=forms.TimeInput({"type": "time"}, format="%H:%M")
    )
    days = forms.TypedMultipleChoiceField(
        label="Whole days",
        coerce=int,
        required=False,
        choices=[(str(n), day) for n, day in enumerate(DAYS)],
        widget=forms.CheckboxSelectMultiple,
    )
    time_zone = forms.ChoiceField(
        label="By the clock of", required=False, widget=forms.Select({"class": "form-select"})
    )
    critical_breaks_through = forms.BooleanField(
        label="Critical ones reach me all the same", required=False
    )

    def __init__(self, data: Mapping[str, Any] | None, *, user: User, factory: Factory) -> None:
        self._user, self._factory = user, factory
        self._chosen = preferences.choices_of(user, factory=factory)
        quiet = preferences.quiet_of(user, factory=factory)
        initial = {
            "starts": quiet.starts,
            "ends": quiet.ends,
            "days": [str(day) for day in quiet.days],
            "time_zone": quiet.time_zone,
            "critical_breaks_through": quiet.critical_breaks_through,
        }
        super().__init__(data, initial=initial)
        own_zone = ("", f"{factory.name} ({factory.time_zone.replace('_', ' ')})")
        self.fields["time_zone"].choices = [own_zone, *zones()]  # type: ignore[attr-defined]
        for name in ("starts", "ends"):
            self.fields[name].widget.attrs["class"] = "form-control"
        for topic in self._names():
            least = self._chosen.get(topic, self._chosen[""])
            about = topic_words(topic) if topic else EVERYTHING_ELSE
            self._add(f"mail-{topic}", f"{about} by mail", least.mail)
            self._add(f"inbox-{topic}", f"{about} in Takt", least.inbox)

    def _names(self) -> list[str]:
        known = [topic.name for topic in topics()]
        return ["", *known, *sorted(set(self._chosen) - set(known) - {""})]

    def _add(self, name: str, label: str, least: int) -> None:
        self.fields[name] = forms.TypedChoiceField(
            label=label,
            coerce=int,
            choices=LEASTS,
            initial=str(least),
            widget=forms.Select({"class": "form-select", "aria-label": label}),
        )

    @property
    def rows(self) -> list["TopicRow"]:
        words = {topic.name: topic.words for topic in topics()}
        return [
            TopicRow(
                label=topic_words(name) if name else EVERYTHING_ELSE,
                words=words.get(name, ""),
                mail=self[f"mail-{name}"],
                inbox=self[f"inbox-{name}"],
            )
            for name in [*self._names()[1:], ""]
        ]

    def save(self) -> bool:
        """Keep what was chosen; False where it cannot be kept, with the reason in the form."""
        fields = self.cleaned_data
        least = {
            name: Least(fields[f"mail-{name}"], fields[f"inbox-{name}"]) for name in self._names()
        }
        quiet = QuietChoice(
            starts=fields["starts"],
            ends=fields["ends"],
            days=tuple(fields["days"]),
            time_zone=fields["time_zone"],
            critical_breaks_through=fields["critical_breaks_through"],
        )
        try:
            preferences.save(user=self._user, factory=self._factory, least=least, quiet=quiet)
        except preferences.PreferenceRefused as refusal:
            self.add_error(refusal.field, str(refusal))
            return False
        return True


@dataclass(frozen=True)
class TopicRow:
    label: str
    words: str
    mail: forms.BoundField
    inbox: forms.BoundField


# -- webhooks


class EndpointForm(forms.Form):
    """An address that hears of what happens."""

    url = forms.CharField(
        label="Address",
        max_length=500,
        widget=forms.URLInput(
            {"class": "form-control", "placeholder": "https://", "autocomplete": "off"}
        ),
    )
    topics = forms.MultipleChoiceField(
        label="Hears of", required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        choices = [(topic.name, topic.label) for topic in topics()]
        self.fields["topics"].choices = choices  # type: ignore[attr-defined]


@dataclass(frozen=True)
class EndpointRow:
    id: str
    url: str
    topics: str
    is_on: bool
    failing_since: datetime | None
    old_secret_until: datetime | None


def endpoint_row(endpoint: WebhookEndpoint, *, now: datetime) -> EndpointRow:
    until = endpoint.previous_until
    return EndpointRow(
        id=str(endpoint.pk),
        url=endpoint.url,
        topics=", ".join(map(topic_words, endpoint.topics)) or "Everything",
        is_on=endpoint.enabled,
        failing_since=endpoint.failing_since,
        old_secret_until=until if until and until > now else None,
    )


@dataclass(frozen=True)
class DeliveryRow:
    id: str
    at: datetime
    subject: str
    topic: str
    state: str
    is_ok: bool
    n_attempts: int
    answer: str
    error: str
    next_at: datetime | None
    may_replay: bool


def delivery_rows(deliveries: Iterable[Delivery]) -> list[DeliveryRow]:
    failed = (Delivery.State.DEAD, Delivery.State.FAILED)
    return [
        DeliveryRow(
            id=str(delivery.pk),
            at=delivery.notification.at,
            subject=delivery.notification.subject,
            topic=topic_words(delivery.notification.topic),
            state=STATE_WORDS[Delivery.State(delivery.state)],
            is_ok=delivery.state == Delivery.State.SENT,
            n_attempts=delivery.n_attempts,
            answer=f"{delivery.response_status or ''} {delivery.response_text}".strip(),
            error=delivery.last_error,
            next_at=delivery.next_at if delivery.state == Delivery.State.FAILED else None,
            may_replay=delivery.state in failed,
        )
        for delivery in deliveries
    ]
