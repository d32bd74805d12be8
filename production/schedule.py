"""What the clock starts on this floor."""

BEAT = {
    "production.make_due_orders": {
        "task": "production.make_due_orders",
        "every_s": 300.0,
        "queue": "default",
    },
    "production.watch_inspections": {
        "task": "production.watch_inspections",
        "every_s": 60.0,
        "queue": "default",
    },
}
