"""Factories with devices for a benchmark, made by the services that a sign-up goes through.

Run as `python -m tests.bench.factories`: reads {schema: number of devices} and prints
{schema: [token, ...]}, the tokens in the order of the devices 1, 2, 3, ...
"""

import json
import subprocess
import sys

from tests.bench.installation import ROOT

# A benchmark measures what the machine can do, not what a plan allows.
_READINGS_PER_S = 100_000_000


def factories_made(
    environment: dict[str, str], n_devices: dict[str, int], *, readings_per_s: int = _READINGS_PER_S
) -> dict[str, list[str]]:
    """Make factories and their devices; return the tokens by schema."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.bench.factories", str(readings_per_s)],
        input=json.dumps(n_devices),
        env={**environment, "DJANGO_SETTINGS_MODULE": "config.settings", "TAKT_DB_POOL": "0"},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"no factories could be made:\n{done.stderr[-2000:]}")
    # Whatever the services log stands in the lines before.
    tokens: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return tokens


def _make(n_devices: dict[str, int], readings_per_s: int) -> dict[str, list[str]]:
    import django

    django.setup()
    from telemetry.models import Device
    from tenants import credentials, services
    from tenants.context import factory_context
    from tenants.models import FactoryLimits, User

    tokens: dict[str, list[str]] = {}
    for schema, n in n_devices.items():
        # One person may not own them all.
        owner = User.objects.create_user(f"owner@{schema.replace('_', '-')}.example")
        factory = services.create_factory(name=schema, owner=owner, stem=schema)
        FactoryLimits.objects.filter(factory=factory).update(
            readings_per_s=readings_per_s, history_days=None
        )
        with factory_context(factory):
            devices = Device.objects.bulk_create(Device(name=f"device {i}") for i in range(n))
            tokens[schema] = [
                credentials.issue_device_token(
                    factory=factory, device_id=device.pk, name=device.name
                )
                for device in devices
            ]
    return tokens


if __name__ == "__main__":
    print(json.dumps(_make(json.load(sys.stdin), int(sys.argv[1]))))
