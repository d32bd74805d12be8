"""Sends readings to Takt, with a queue on disk: what `send()` took is not lost."""

from takt_device.client import Client, TokenRefused
from takt_device.files import QueueInUse
from takt_device.queue import NotQueued, QueueFull
from takt_device.report import Dropped, Refused, Report

__all__ = [
    "Client",
    "Dropped",
    "NotQueued",
    "QueueFull",
    "QueueInUse",
    "Refused",
    "Report",
    "TokenRefused",
]
