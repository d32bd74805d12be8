"""Watch the rules of all factories until told to stop."""

import os
import signal
import socket
import time
import uuid
from types import FrameType
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from telemetry.services import alarm_lease
from telemetry.services.alarm_watching import FactoryWatcher
from tenants import names
from tenants.context import factory_context
from tenants.models import Factory

log = structlog.get_logger(__name__)

EVERY_S = 1.0
# A factory without rules, or one that another process watches, is asked less often.
IDLE_S = 5.0
# Announcements come many times a second; one pass answers several.
GAP_S = 0.25
FACTORIES_S = 5.0
AWAY_S = 3.0


class Hints:
    """Hears on Valkey which factories have stored something; without it time alone decides."""

    def __init__(self) -> None:
        self._pubsub: Any = None
        self._not_before = 0.0

    def wait(self, timeout_s: float) -> set[str]:
        """Wait for announcements, and return the schemas of the factories that were named."""
        now = time.monotonic()
        if self._pubsub is None and now < self._not_before:
            time.sleep(timeout_s)
            return set()
        try:
            return self._hear(timeout_s)
        except (RedisError, OSError) as error:
            log.warning("telemetry.alarms.deaf", error=type(error).__name__)
            self._pubsub, self._not_before = None, now + AWAY_S
            return set()

    def _hear(self, timeout_s: float) -> set[str]:
        if self._pubsub is None:
            client: Any = Redis.from_url(
                settings.VALKEY_URL, socket_timeout=5.0, socket_connect_timeout=2.0
            )
            pubsub = client.pubsub(ignore_subscribe_messages=True)
            pubsub.psubscribe(names.channel("live", schema="*"))
            self._pubsub = pubsub
        heard: set[str] = set()
        message = self._pubsub.get_message(timeout=timeout_s)
        while message is not None:
            heard.add(message["channel"].decode().split(":")[1])
            message = self._pubsub.get_message(timeout=0.0)
        return heard


class Command(BaseCommand):
    help = "Evaluate the alarm rules of all factories as readings come in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="One pass over all factories.")

    def handle(self, *args: Any, **options: Any) -> None:
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._watchers: dict[str, FactoryWatcher] = {}
        self._due: dict[str, float] = {}
        self._ending = False
        if options["once"]:
            for factory in self._factories():
                self._pass(factory)
            self._release()
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        self.stdout.write("Watching alarms.")
        self.stdout.flush()
        self._loop()
        self._release()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True

    def _loop(self) -> None:
        hints = Hints()
        factories: list[Factory] = []
        listed_at = float("-inf")
        while not self._ending:
            now = time.monotonic()
            if now - listed_at >= FACTORIES_S:
                factories, listed_at = self._factories() or factories, now
            for factory in factories:
                if self._due.get(factory.schema_name, 0.0) <= now and not self._ending:
                    wait_s = self._pass(factory)
                    self._due[factory.schema_name] = time.monotonic() + wait_s
            soonest = min(self._due.values(), default=now + EVERY_S)
            heard = hints.wait(min(EVERY_S, max(0.02, soonest - time.monotonic())))
            at = time.monotonic() + GAP_S
            for schema in heard & self._watchers.keys():
                self._due[schema] = min(self._due.get(schema, at), at)

    def _factories(self) -> list[Factory]:
        try:
            return list(Factory.objects.filter(state=Factory.State.ACTIVE).order_by("pk"))
        except DatabaseError as error:
            self._lose_connection(error)
            return []

    def _pass(self, factory: Factory) -> float:
        """Do one pass over a factory and return after how long it wants the next one."""
        schema = factory.schema_name
        watcher = self._watchers.get(schema) or FactoryWatcher(holder=self._holder)
        try:
            with factory_context(factory):
                done = watcher.run(at=timezone.now())
        except alarm_lease.NotMine:
            self._watchers.pop(schema, None)
            return EVERY_S
        except DatabaseError as error:
            self._watchers.pop(schema, None)
            self._lose_connection(error)
            return EVERY_S
        except Exception:  # the other factories must be watched
            log.exception("telemetry.alarms.failed", schema=schema)
            self._watchers.pop(schema, None)
            return IDLE_S
        if not done.n_rules:
            self._watchers.pop(schema, None)
            return IDLE_S
        self._watchers[schema] = watcher
        return EVERY_S

    def _lose_connection(self, error: DatabaseError) -> None:
        log.warning("telemetry.alarms.database", error=type(error).__name__)
        if not connection.in_atomic_block:
            connection.close()

    def _release(self) -> None:
        for schema in self._watchers:
            try:
                with factory_context(schema):
                    alarm_lease.release(holder=self._holder, at=timezone.now())
            except (DatabaseError, Factory.DoesNotExist) as error:
                self._lose_connection(DatabaseError(str(error)))
