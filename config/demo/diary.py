"""`var/demo.json`: where scripts and tests find the demonstration, its log-ins and its tokens.

The form is a promise (see the README); what the demonstration needs for itself lies beside it
under `demo`. The database stays the truth: a lost file costs new tokens and passwords only.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class FactoryEntry:
    """One factory as written down: log-ins by role, an API key, device tokens by name."""

    name: str
    schema: str
    url: str
    users: dict[str, dict[str, str]] = field(default_factory=dict)
    api_key: str = ""
    tokens: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "schema": self.schema,
            "url": self.url,
            "users": self.users,
            "api_key": self.api_key,
            "devices": [{"name": name, "token": token} for name, token in self.tokens.items()],
        }


@dataclass
class Diary:
    """What one installation's demonstration has written down."""

    path: Path
    base_url: str = ""
    device_url: str = ""
    ca_file: str = ""
    factories: dict[str, FactoryEntry] = field(default_factory=dict)
    staff: dict[str, str] = field(default_factory=dict)  # the log-in of one of Takt's own people
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Diary":
        """Read what an earlier run wrote; an unreadable file counts as none."""
        diary = cls(path)
        try:
            content = json.loads(path.read_text())
            for entry in content["factories"]:
                diary.factories[entry["schema"]] = FactoryEntry(
                    name=entry["name"],
                    schema=entry["schema"],
                    url=entry["url"],
                    users=entry["users"],
                    api_key=entry["api_key"],
                    tokens={device["name"]: device["token"] for device in entry["devices"]},
                )
            diary.staff = dict(content.get("staff", {}))
            diary.facts = dict(content.get("demo", {}))
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path)
        return diary

    def write(self) -> None:
        """Write everything down at once, readable by this user only (it holds log-ins)."""
        content: Mapping[str, Any] = {
            "base_url": self.base_url,
            "device_url": self.device_url,
            "ca_file": self.ca_file,
            "factories": [entry.as_json() for entry in self.factories.values()],
            "staff": self.staff,
            "demo": self.facts,
        }
        draft = self.path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
        draft.replace(self.path)
