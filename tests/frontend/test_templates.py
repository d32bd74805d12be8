"""What the content policy asks of every template, and that each can be compiled."""

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

FOLDER = Path(__file__).parents[2] / "frontend" / "templates"
TEMPLATES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.html"))
INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)|<style\b|\sstyle=|\son[a-z]+=\"|javascript:", re.IGNORECASE
)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_no_inline_script_or_style(name):
    assert not INLINE.search((FOLDER / name).read_text())


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_compiles(name):
    assert get_template(name)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_icon_that_a_template_names_is_in_the_sprite(name):
    icons = (FOLDER.parent / "assets" / "icons.txt").read_text().split()

    named = re.findall(r'{% icon "([^"]+)"', (FOLDER / name).read_text())

    assert set(named) <= set(icons)


def asks_for_a_token(name: str) -> bool:
    """Say whether a template has a form that is posted, its own or in what it includes."""
    text = (FOLDER / name).read_text()
    included = re.findall(r'{% include "([^"]+)"', text)
    return "{% csrf_token %}" in text or any(asks_for_a_token(part) for part in included)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_form_that_is_included_alone_is_given_its_token(name):
    """`only` leaves the token out as well; the form would be refused when it is sent."""
    alone = re.findall(r'{% include "([^"]+)"([^%]*) only %}', (FOLDER / name).read_text())

    forms = [part for part, given in alone if asks_for_a_token(part) and "csrf_token=" not in given]

    assert forms == []
