"""Ids back to what was sent: keysets to keys, codes to texts."""

from collections.abc import Iterable, Mapping

from telemetry.models import Keyset, SignalKey, Word

Value = float | bool | str


def decoded(kind: str, value: float, words: Mapping[int, str]) -> Value:
    """Return a stored number as what was sent."""
    if kind == SignalKey.Kind.BOOLEAN:
        return bool(value)
    if kind == SignalKey.Kind.TEXT:
        return words[int(value)]
    return value


def keysets(keyset_ids: Iterable[int]) -> dict[int, list[SignalKey]]:
    """Return the keys of some keysets, in their order."""
    rows = list(Keyset.objects.filter(pk__in=list(keyset_ids)))
    keys = SignalKey.objects.in_bulk({key_id for row in rows for key_id in row.key_ids})
    return {row.pk: [keys[key_id] for key_id in row.key_ids] for row in rows}


def words(codes: Iterable[int]) -> dict[int, str]:
    """Return the texts of some codes."""
    wanted = list(codes)
    return dict(Word.objects.filter(pk__in=wanted).values_list("pk", "text")) if wanted else {}
