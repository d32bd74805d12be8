"""Serve the stand-in: `python -m billing.sandbox --port N --data-dir DIR --api-key sk_test_...`."""

import argparse
import asyncio
import signal
from pathlib import Path

from granian.constants import Interfaces
from granian.server.embed import Server

from billing.sandbox.app import Settings, create_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m billing.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=12111)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--api-key", required=True, help="the only key that is let in")
    parser.add_argument("--webhook-url", help="where events are delivered")
    parser.add_argument("--webhook-secret", help="what deliveries are signed with")
    parser.add_argument("--webhook-ca", type=Path, help="CA that the webhook's certificate has")
    options = parser.parse_args()
    settings = Settings(
        data_dir=options.data_dir,
        base_url=f"http://{options.host}:{options.port}",
        api_key=options.api_key,
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret,
        webhook_ca=options.webhook_ca,
    )
    asyncio.run(_serve(settings, host=options.host, port=options.port))


async def _serve(settings: Settings, *, host: str, port: int) -> None:
    server = Server(
        create_app(settings), address=host, port=port, interface=Interfaces.ASGI, websockets=False
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    await server.serve()


if __name__ == "__main__":
    main()
