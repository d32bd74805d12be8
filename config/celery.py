"""Celery: JSON only, acknowledged late; every task idempotent (tenants.jobs)."""

import os
from importlib import import_module
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from config.parts import exists

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

FLOORS = ("tenants", "production", "telemetry", "mlops", "analytics", "billing")

app = Celery("takt")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue="default",
    worker_prefetch_multiplier=1,
    worker_max_tasks_per_child=500,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_timeout=5,
    broker_transport_options={
        "visibility_timeout": 6 * 3600,  # above the longest task
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
    },
    task_publish_retry=False,
)


def _beat_schedule() -> dict[str, dict[str, Any]]:
    """Collect what each floor wants the clock to start (`<app>/schedule.py`)."""
    schedule: dict[str, dict[str, Any]] = {}
    for floor in FLOORS:
        if not exists(f"{floor}.schedule"):
            continue
        for name, entry in import_module(f"{floor}.schedule").BEAT.items():
            schedule[name] = {
                "task": "tenants.tick",
                "args": (entry["task"],),
                "schedule": entry["every_s"],
                # A tick that nobody took before the next one is of no use.
                "options": {"queue": entry["queue"], "expires": max(entry["every_s"], 20.0)},
            }
    return schedule


app.conf.beat_schedule = _beat_schedule()


@setup_logging.connect
def keep_our_logs(**_kwargs: Any) -> None:
    """Leave logging as config.logs has set it."""


@worker_process_init.connect
def close_inherited_connections(**_kwargs: Any) -> None:
    """A forked child must not share its parent's connections."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        if hasattr(connection, "close_pool"):
            connection.close_pool()
