"""Fold what single commits counted into the hours that billing pulls."""

from django.db import connection, transaction

# In one statement, so that a reader that adds up both tables counts nothing twice or not at all.
_FOLD = """
WITH taken AS (
    DELETE FROM usage_delta WHERE id IN (
        SELECT id FROM usage_delta ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING device_ids, hours, n_readings, n_values
), hours AS (
    SELECT d, h, sum(nr) AS nr, sum(nv) AS nv
    FROM taken, unnest(device_ids, hours, n_readings, n_values) AS u (d, h, nr, nv)
    GROUP BY d, h
), stored AS (
    INSERT INTO reading_hour AS r (device_id, hour, n_readings, n_values, changed_at)
    SELECT d, timestamptz '1970-01-01 00:00:00+00' + h * interval '1 hour', nr, nv,
        clock_timestamp()
    FROM hours ORDER BY d, h
    ON CONFLICT (device_id, hour) DO UPDATE SET
        n_readings = r.n_readings + excluded.n_readings,
        n_values = r.n_values + excluded.n_values,
        changed_at = excluded.changed_at
)
SELECT count(*) FROM taken
"""


def fold_usage(*, at_once: int = 5_000, at_most: int = 1_000_000) -> int:
    """Add the usage of commits to its hours; safe beside ingest and others who fold.

    Returns:
        how many commits' usage was folded.
    """
    n_folded = 0
    while n_folded < at_most:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '20s'")
            cursor.execute(_FOLD, [at_once])
            (n_taken,) = cursor.fetchone()
        n_folded += n_taken
        if n_taken < at_once:
            break
    return n_folded
