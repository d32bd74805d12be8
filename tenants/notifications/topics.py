"""What notifications are about: each floor registers its topics; people choose among them."""

import re
from dataclasses import dataclass

# Also what a topic looks like in a webhook's list and in the type of its message.
PATTERN = r"^[a-z][a-z0-9_.]{0,39}$"


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    label: str
    words: str


_TOPICS: dict[str, Topic] = {}


def register_topic(name: str, *, label: str, words: str) -> None:
    """Let people choose a topic by name; `words` say what it tells them.

    Raises:
        ValueError: the name is none of a topic, or is taken with another label.
    """
    if not re.fullmatch(PATTERN, name):
        raise ValueError(f"not a topic: {name!r}")
    topic = Topic(name, label, words)
    if _TOPICS.setdefault(name, topic) != topic:
        raise ValueError(f"two topics are called {name}")


def topics() -> list[Topic]:
    """Return the topics that are registered, by label."""
    return sorted(_TOPICS.values(), key=lambda topic: (topic.label, topic.name))


WEBHOOKS = "webhooks"
register_topic(
    WEBHOOKS, label="Webhooks", words="An address of yours stopped answering and was switched off."
)
