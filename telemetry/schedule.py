"""What the clock starts on this floor."""

BEAT = {
    "telemetry.feed_plans": {"task": "telemetry.feed_plans", "every_s": 240.0, "queue": "default"},
    "telemetry.compact": {"task": "telemetry.compact", "every_s": 60.0, "queue": "default"},
    # Four times a day, so that a clock that is restarted every night comes to it, too.
    "telemetry.retain": {"task": "telemetry.retain", "every_s": 6 * 3600.0, "queue": "default"},
    "telemetry.tidy_exports": {
        "task": "telemetry.tidy_exports",
        "every_s": 3600.0,
        "queue": "default",
    },
}
