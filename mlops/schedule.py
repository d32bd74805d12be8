"""What the clock starts on this floor."""

BEAT = {
    "mlops.score_all": {"task": "mlops.score_all", "every_s": 600.0, "queue": "learn"},
    "mlops.predict_quality_all": {
        "task": "mlops.predict_quality_all",
        "every_s": 120.0,
        "queue": "learn",
    },
    "mlops.watch_all": {"task": "mlops.watch_all", "every_s": 3600.0, "queue": "learn"},
    "mlops.record_pending": {"task": "mlops.record_pending", "every_s": 1800.0, "queue": "learn"},
    # Four times a day, so that a clock that is restarted every night comes to it, too.
    "mlops.thin_bursts": {
        "task": "mlops.thin_bursts",
        "every_s": 6 * 3600.0,
        "queue": "default",
    },
    "mlops.store_waiting_pictures": {
        "task": "mlops.store_waiting_pictures",
        "every_s": 60.0,
        "queue": "default",
    },
    "mlops.retain_pictures": {
        "task": "mlops.retain_pictures",
        "every_s": 3600.0,
        "queue": "default",
    },
}
