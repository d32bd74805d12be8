"""What the clock starts on this floor."""

BEAT = {
    "telemetry.tidy_exports": {
        "task": "telemetry.tidy_exports",
        "every_s": 3600.0,
        "queue": "default",
    },
}
