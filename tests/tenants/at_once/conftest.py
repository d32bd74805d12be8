"""Committed factories: what two connections do at once cannot be undone with a transaction."""

from tests.telemetry.ingest.conftest import Plant, db, plant

__all__ = ["Plant", "db", "plant"]
