"""The addresses of the portal and the public host, found by walking the URL configuration."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RoutePattern
from playwright.sync_api import Page

ASK: Final = """async (paths) => {
  const said = [];
  for (const path of paths) {
    const answer = await fetch(path, { redirect: "manual" });
    const isHtml = (answer.headers.get("content-type") ?? "").startsWith("text/html");
    if (answer.type === "opaqueredirect") said.push("elsewhere");
    else if (answer.status === 405) said.push("act");
    else if (!answer.ok) said.push(String(answer.status));
    else said.push(isHtml && (await answer.text()).includes("<html") ? "page" : "piece");
  }
  return said;
}"""
KINDS: Final = frozenset({"page", "piece", "act", "elsewhere", "404"})
PARAMETER: Final = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Address:
    name: str
    path: str  # with <parameters>

    def fill(self, objects: Mapping[str, object]) -> str:
        return PARAMETER.sub(lambda found: str(objects[found[1]]), self.path)


@dataclass(frozen=True)
class Visited:
    """What answered: whole pages by name; what leads elsewhere; what is not there."""

    pages: dict[str, str]
    elsewhere: frozenset[str]
    not_there: frozenset[str]


def addresses(patterns: Sequence[URLPattern | URLResolver], prefix: str = "/") -> Iterator[Address]:
    """List what has a name; a regular expression stays as it is, for nothing here can fill it."""
    for pattern in patterns:
        is_route = isinstance(pattern.pattern, RoutePattern)
        path = prefix + (str(pattern.pattern) if is_route else f"<{pattern.pattern.describe()}>")
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, path)
        elif pattern.name:
            yield Address(pattern.name, path)


def visit(page: Page, found: Sequence[Address], objects: Mapping[str, object]) -> Visited:
    """Ask the open page's host for every address, signed in as its visitor is.

    What takes no GET, is a file or a part of a page is no page.
    """
    paths = {address.name: address.fill(objects) for address in found}
    answers = page.evaluate(ASK, list(paths.values()))
    told = dict(zip(paths, answers, strict=True))
    assert set(answers) <= KINDS, {paths[name]: said for name, said in told.items()}
    return Visited(
        pages={name: paths[name] for name, said in told.items() if said == "page"},
        elsewhere=frozenset(name for name, said in told.items() if said == "elsewhere"),
        not_there=frozenset(name for name, said in told.items() if said == "404"),
    )
