"""What the clock starts on this floor."""

BEAT = {
    "production.make_due_orders": {
        "task": "production.make_due_orders",
        "every_s": 300.0,
        "queue": "default",
    },
}
