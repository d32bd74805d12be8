"""The committed factories of the ingest tests, because locks need more than one connection."""

from tests.telemetry.ingest.conftest import Plant, db, plant

__all__ = ["Plant", "db", "plant"]
