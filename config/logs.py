"""Logs: one JSON object a line; facts as fields, never a payload, a token or a person."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# Whatever happens to reach a log line, a token does not.
_TOKEN = re.compile(r"(takt_(?:dev|api)_)[A-Za-z0-9_-]+|(sk_(?:test|live)_)\w+|(whsec_)\w+")


def _mask(value: str) -> str:
    return _TOKEN.sub(lambda found: f"{next(g for g in found.groups() if g)}***", value)


def mask_tokens(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace every token inside the fields of a log line by its scannable prefix."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _mask(value)
    return event


def _mask_record(record: logging.LogRecord) -> bool:
    """A filter that masks instead of dropping, for logs that have a form of their own."""
    record.msg, record.args = _mask(record.getMessage()), None
    return True


def configure(config: dict[str, str]) -> None:
    """Send structlog and the standard library's logs to standard error in one form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                mask_tokens,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(config["level"])
    # The server's own log of requests, which is off unless somebody asks for it: ThingsBoard's
    # device API has the token in the path.
    logging.getLogger("granian.access").addFilter(_mask_record)
    for noisy in ("httpx", "botocore", "urllib3", "alembic", "mlflow", "asyncio", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
