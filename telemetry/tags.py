"""Tags of devices: short lower-case words by which people find devices again."""

import re
import unicodedata
from collections.abc import Iterable

MAX_TAGS = 12
MAX_TAG_LENGTH = 32
# Latin letters with their accents, as the API's document says it too.
PATTERN = r"^[0-9A-Za-zÀ-ž][0-9A-Za-zÀ-ž._:/-]*$"


class BadTag(ValueError):
    """A text cannot be a tag; the message says why."""


def split(text: str) -> list[str]:
    """Take tags apart that were typed into one field, by spaces, commas, semicolons or bars."""
    return [word for word in re.split(r"[\s,;|]+", text) if word]


def normalised(tags: Iterable[str]) -> list[str]:
    """Return tags in lower case, sorted, each once.

    Raises:
        BadTag: one is too long or holds what a tag may not, or there are too many.
    """
    found = sorted({_lowered(tag.strip()) for tag in tags} - {""})
    for tag in found:
        if len(tag) > MAX_TAG_LENGTH:
            raise BadTag(f"The tag '{tag[:20]}...' has more than {MAX_TAG_LENGTH} characters.")
        if not re.fullmatch(PATTERN, tag):
            raise BadTag(f"The tag '{tag}' holds more than letters, digits and the signs - _ . : /")
    if len(found) > MAX_TAGS:
        raise BadTag(f"{len(found)} tags are too many: up to {MAX_TAGS} are kept.")
    return found


def _lowered(tag: str) -> str:
    """Return a tag in lower case; the dot that a capital İ leaves behind is no sign of its own."""
    composed = unicodedata.normalize("NFC", tag.lower())
    return "".join(sign for sign in composed if unicodedata.category(sign) != "Mn")
