"""Sends readings and pictures to Takt, with an account on disk: what it took is not lost."""

from takt_device.client import Client, TokenRefused
from takt_device.files import QueueInUse
from takt_device.pictures import PictureFolder, Stopped, Told
from takt_device.queue import NotQueued, QueueFull
from takt_device.report import Dropped, Refused, Report

__all__ = [
    "Client",
    "Dropped",
    "NotQueued",
    "PictureFolder",
    "QueueFull",
    "QueueInUse",
    "Refused",
    "Report",
    "Stopped",
    "TokenRefused",
    "Told",
]
