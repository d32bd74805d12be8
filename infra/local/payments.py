"""The local stand-in for Stripe, `billing.sandbox`, started like any other server."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping
from typing import ClassVar

from infra.local.certificates import Certificates
from infra.local.processes import Command
from infra.local.service import LOOPBACK, REPOSITORY, Service, answers_ok

_PREFERRED_PORT = 12111


class Payments(Service):
    """Answers in place of api.stripe.com and sends signed webhooks to the web server."""

    name: ClassVar[str] = "stripe"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.home.port(self.name, _PREFERRED_PORT)

    def environment(self) -> dict[str, str]:
        return {
            "STRIPE_API_BASE": f"http://{LOOPBACK}:{self.port}",
            "STRIPE_API_KEY": "sk_test_" + self.home.secret("stripe_api_key"),
            "STRIPE_WEBHOOK_SECRET": "whsec_" + self.home.secret("stripe_webhook_secret"),
        }

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self, env: Mapping[str, str]) -> Command:
        options = {
            "host": LOOPBACK,
            "port": str(self.port),
            "data-dir": str(self.folder),
            "api-key": env["STRIPE_API_KEY"],
            "webhook-url": env["TAKT_BASE_URL"] + "/stripe/webhook",
            "webhook-secret": env["STRIPE_WEBHOOK_SECRET"],
            "webhook-ca": str(Certificates(self.home.var).authority),
        }
        argv = [sys.executable, "-m", "billing.sandbox"]
        for name, value in options.items():
            argv += [f"--{name}", value]
        return Command(argv, cwd=REPOSITORY)

    def check(self, env: Mapping[str, str]) -> None:
        answers_ok(http.client.HTTPConnection(LOOPBACK, self.port, timeout=2.0), "/health")
