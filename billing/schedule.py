"""What the clock starts on this floor."""

BEAT = {
    # Counting is by the full hour; running it more often lets the last hours of a month reach
    # Stripe while the invoice is a draft, whatever the moment the clock was started.
    "billing.count_all": {"task": "billing.count_all", "every_s": 900.0, "queue": "default"},
    "billing.review_all": {"task": "billing.review_all", "every_s": 3600.0, "queue": "default"},
    "billing.reconcile": {"task": "billing.reconcile", "every_s": 1800.0, "queue": "default"},
}
