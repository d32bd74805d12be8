"""Conditions, schedules and rules as text: strict, each error by name and path."""

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.alarms import conditions, parsing, rulebook, schedule, sentences
from tests.telemetry.alarms.test_evaluation import trees

BERLIN = ZoneInfo("Europe/Berlin")
ABOVE = {"threshold": {"signal": "vib", "op": ">", "value": 4.5}}


@given(tree=trees)
def test_a_condition_survives_json(tree):
    assert parsing.parse(conditions.as_json(tree)) == tree


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        (None, "condition"),
        ({"all": []}, "all"),
        ({"all": [ABOVE, {"threshold": {"signal": "x", "op": ">"}}]}, "all[1].threshold.value"),
        ({"threshold": {"signal": "x", "op": "=>", "value": 1}}, "threshold.op"),
        ({"threshold": {"signal": "x", "op": ">", "value": True}}, "threshold.value"),
        ({"threshold": {"signal": "x", "op": ">", "value": float("nan")}}, "threshold.value"),
        ({"threshold": {"signal": "x", "op": ">", "value": 1, "clear": 2}}, "threshold.clear"),
        ({"threshold": {"signal": "x", "op": ">", "value": 1, "hold": 2}}, "threshold.hold"),
        ({"threshold": {"signal": "x", "op": "inside", "low": 2, "high": 1}}, "threshold.high"),
        ({"duration": {"for_s": 0, "condition": ABOVE}}, "duration.for_s"),
        ({"duration": {"for_s": 5}}, "duration.condition"),
        ({"repeat": {"times": 2.5, "within_s": 5, "condition": ABOVE}}, "repeat.times"),
        ({"rate": {"signal": "x", "op": ">", "value": 1, "window_s": 1e9}}, "rate.window_s"),
        ({"state": {"signal": "x", "in": [1]}}, "state.in[0]"),
        ({"no_data": {"minutes": "5"}}, "no_data.minutes"),
        ({"state": {"signal": "x", "in": ["a\0b"]}}, "state.in[0]"),
        ({"threshold": {"signal": "\ud800", "op": ">", "value": 1}}, "threshold.signal"),
        ({"maybe": {}}, "condition"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(tree, path):
    with pytest.raises(parsing.BadCondition) as refused:
        parsing.parse(tree)

    assert list(refused.value.errors) == [path]


def test_a_tree_that_never_ends_is_refused():
    tree: Mapping[str, object] = ABOVE
    for _ in range(5_000):
        tree = {"not": tree}

    with pytest.raises(parsing.BadCondition):
        parsing.parse(tree)


@given(tree=st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["all", "not", "threshold", "signal", "op", "value", "condition"]), inner,
        max_size=3,
    ),
))  # fmt: skip
def test_any_json_is_read_or_refused(tree):
    try:
        read = parsing.parse(tree)
    except parsing.BadCondition:
        return
    assert parsing.parse(conditions.as_json(read)) == read


def test_weekly_windows_follow_the_clock_of_the_site_through_a_change_of_time():
    when = schedule.parse(
        {"kind": "weekly", "windows": [{"days": "67", "from": "22:00", "to": "06:00"}]}
    )
    # The clock goes back on Sunday 25 October 2026 at 03:00: that night is nine hours long.
    found = schedule.stretches(
        when, BERLIN, datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)
    )

    assert found == [
        (datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 25, 5, tzinfo=UTC)),
        (datetime(2026, 10, 25, 21, tzinfo=UTC), datetime(2026, 10, 26, 5, tzinfo=UTC)),
    ]


def test_a_schedule_that_is_wrong_is_named():
    with pytest.raises(parsing.BadCondition) as refused:
        schedule.parse({"kind": "weekly", "windows": [{"days": "8", "from": "x", "to": "06:00"}]})

    assert set(refused.value.errors) == {"schedule.windows[0].days", "schedule.windows[0].from"}


BOOK = """
takt_alarm_rules: 1
rules:
  - {key: vibration, name: Vibration, scope: {factory: true}, severity: 3, when: %s}
"""
GOOD = "{threshold: {signal: vib, op: '>', value: 4.5}}"


@pytest.mark.parametrize(
    ("text", "rule", "path"),
    [
        ("a: [", "", "line 1"),
        ("!!python/object/apply:os.system ['true']", "", "line 1"),
        ("rules: []", "", "takt_alarm_rules"),
        ("a: &a [1]\nb: *a", "", ""),
        (BOOK % "{threshold: {signal: vib, op: '>'}}", "vibration", "when.threshold.value"),
        (BOOK.replace("severity: 3", "severity: 9") % GOOD, "vibration", "severity"),
        (BOOK.replace("name:", "colour: red, name:") % GOOD, "vibration", "colour"),
        (BOOK.replace("{factory: true}", "{plant: x}") % GOOD, "vibration", "scope"),
        (BOOK % GOOD + BOOK.splitlines()[3] % GOOD, "vibration", "key"),
    ],
)
def test_text_that_is_no_rule_is_refused_by_rule_and_path(text, rule, path):
    with pytest.raises(rulebook.BadRulebook) as refused:
        rulebook.read(text)

    assert [(e["rule"], e["path"]) for e in refused.value.errors] == [(rule, path)]


def test_rules_survive_being_text():
    rules = rulebook.read(BOOK % GOOD)

    assert rulebook.read(rulebook.write(rules)) == rules


def test_an_alarm_is_told_in_plain_words():
    tree = parsing.parse({"duration": {"for_s": 60, "condition": ABOVE}})
    names = {"vib": sentences.Name("Spindle vibration", "mm/s")}

    said = sentences.happened(
        tree, target="Mill 3", names=names, lasted_s=180, is_on=True, now={"vib": 5.1}
    )

    assert said == ("Spindle vibration of Mill 3 has been above 4.5 mm/s for 3 min (now 5.1 mm/s).")
    assert sentences.describe(tree, names) == "spindle vibration above 4.5 mm/s for 60 s"
