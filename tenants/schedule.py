"""What the clock starts on this floor."""

BEAT = {
    "tenants.sweep": {"task": "tenants.sweep", "every_s": 20.0, "queue": "default"},
    "tenants.deliver_due": {"task": "tenants.deliver_due", "every_s": 10.0, "queue": "default"},
    "tenants.tidy_exports": {
        "task": "tenants.tidy_exports",
        "every_s": 6 * 3600.0,
        "queue": "default",
    },
    "tenants.end_support": {"task": "tenants.end_support", "every_s": 60.0, "queue": "default"},
    "tenants.tidy": {"task": "tenants.tidy", "every_s": 3600.0, "queue": "default"},
}
