"""The alarm rules of a demonstration: a wearing bearing, a long stop, a machine that is silent."""

from datetime import datetime, timedelta
from typing import Any

from telemetry.models import AlarmRule
from telemetry.services import alarm_rules

# So far back the stories of the machines have made alarms when the first visitor comes.
LOOK_BACK = timedelta(days=2)
RULES: tuple[dict[str, Any], ...] = (
    {
        "key": "vibration",
        "name": "Vibrates more than its warning limit",
        "severity": 3,
        "condition": {
            "duration": {
                "for_s": 300,
                "condition": {
                    "threshold": {"signal": "vib_rms_mm_s", "op": ">", "value": 4.5, "clear": 4.0}
                },
            }
        },
        "advice": "Check the tool and its balance first, then the bearing. Its remaining life is"
        " on the page of the machine.",
    },
    {
        "key": "long-stop",
        "name": "Stopped for 20 min in planned time",
        "severity": 2,
        "condition": {
            "duration": {
                "for_s": 1200,
                "condition": {
                    "state": {"signal": "execution", "in": ["STOPPED", "INTERRUPTED", "FEED_HOLD"]}
                },
            }
        },
        "schedule": {"kind": "planned"},
        "advice": "Ask at the machine for the reason, and write it down.",
        "escalation": [{"after_min": 15, "user_ids": []}],
    },
    {
        "key": "silence",
        "name": "Sends no data",
        "severity": 2,
        "condition": {"no_data": {"minutes": 10}},
        "advice": "See whether the gateway has power and network. Readings that it kept follow.",
    },
)


def found_rules(*, at: datetime) -> None:
    """Make the rules that are not there yet, in the factory at work."""
    known = set(AlarmRule.objects.values_list("key", flat=True))
    for fields in RULES:
        if fields["key"] not in known:
            # Before the history is posted there is nothing but silence.
            since = at if "no_data" in fields["condition"] else at - LOOK_BACK
            alarm_rules.create_rule(fields=fields, by=None, at=at, valid_from=since)
