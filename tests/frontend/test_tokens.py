"""Every pair of colours that meets on screen keeps its contrast (WCAG 2.x), in all four themes."""

import re
from pathlib import Path

import pytest

SHEET = Path(__file__).parents[2] / "frontend" / "assets" / "css" / "tokens.css"
STATES = ("run", "slow", "idle", "down", "setup", "planned", "nodata")
TEXT = ["ink", "ink-2", "ink-3", "accent", *(f"{state}-text" for state in STATES)]
TEXT += [f"sev-{level}-text" for level in (1, 2, 3, 4)]
SHAPES = ["control", *STATES, *(f"sev-{level}" for level in (1, 2, 3, 4))]
SHAPES += [f"series-{n}" for n in (1, 2, 3, 4)]
GROUNDS = ("surface", "bg", "sunken")


def tokens(selector: str) -> dict[str, str]:
    blocks = re.findall(r"([^{}]+)\{([^{}]*)\}", SHEET.read_text())
    found: dict[str, str] = {}
    for head, body in blocks:
        if selector in (part.strip() for part in head.split("*/")[-1].split(",")):
            found |= dict(re.findall(r"--tk-([\w-]+):\s*(#[0-9a-fA-F]{6})\b", body))
    return found


LIGHT = tokens('[data-bs-theme="light"]')
DARK = tokens('[data-bs-theme="dark"]')
THEMES = {
    "light": (LIGHT, 4.5),
    "dark": (LIGHT | DARK, 4.5),
    "more": (LIGHT | tokens('[data-tk-contrast="more"]'), 7.0),
    "dark-more": (LIGHT | DARK | tokens('[data-bs-theme="dark"][data-tk-contrast="more"]'), 7.0),
}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_21_to_1():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("text", TEXT)
def test_words_can_be_read_on_every_ground(theme, text):
    colours, floor = THEMES[theme]

    assert min(contrast(colours[text], colours[ground]) for ground in GROUNDS) >= floor


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_can_be_told_from_every_ground(theme, shape):
    colours, _floor = THEMES[theme]

    assert min(contrast(colours[shape], colours[ground]) for ground in ("surface", "bg")) >= 3


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("state", ["run", "slow", "idle", "down", "setup"])
def test_a_state_s_word_can_be_read_on_its_own_wash(theme, state):
    colours, floor = THEMES[theme]

    assert contrast(colours[f"{state}-text"], colours[f"{state}-wash"]) >= floor


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("words", "ground"), [("on-ink", "ink"), ("on-down", "down")])
def test_words_can_be_read_on_what_is_filled(theme, words, ground):
    colours, _floor = THEMES[theme]

    assert contrast(colours[words], colours[ground]) >= 4.5
