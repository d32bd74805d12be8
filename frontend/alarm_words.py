"""Between the form of a rule and its tree of conditions."""

from typing import Any

from telemetry.models import AlarmRule

BANDS = ("outside", "inside")
KINDS = (
    (">", "goes above a limit"),
    ("<", "goes under a limit"),
    ("outside", "leaves a band"),
    ("inside", "enters a band"),
    ("rate", "rises faster than so much a minute"),
    ("state", "says one of these"),
    ("no_data", "sends no data"),
)
SIGNAL_KINDS = (">", "<", "outside", "inside", "rate", "state")
RATE_WINDOW_S = 300.0
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}


def condition_of(data: dict[str, Any]) -> dict[str, Any]:
    """Return the tree of one filled-in condition."""
    kind, signal = data["kind"], data["signal"]
    minutes = data["minutes"] or 0
    if kind == "no_data":
        return {"no_data": {"minutes": minutes, **({"signal": signal} if signal else {})}}
    if kind == "state":
        words = [word.strip() for word in data["words"].split(",") if word.strip()]
        said = [_TRUTH.get(word.casefold(), word) for word in words]
        tree: dict[str, Any] = {"state": {"signal": signal, "in": said}}
    elif kind in BANDS:
        band = {"signal": signal, "op": kind, "low": data["value"], "high": data["high"]}
        tree = {"threshold": band}
    else:
        clear = data["value"] if data["clear"] is None else data["clear"]
        limit = {"signal": signal, "op": kind, "value": data["value"], "clear": clear}
        if kind == "rate":
            limit |= {"op": ">", "window_s": RATE_WINDOW_S, "per": "min"}
        tree = {"rate" if kind == "rate" else "threshold": limit}
    return {"duration": {"for_s": minutes * 60, "condition": tree}} if minutes else tree


def initial_of(rule: AlarmRule) -> dict[str, Any]:
    """Return what the form shows of a rule; `parts` is None where it cannot show its tree."""
    windows = rule.schedule.get("windows", [])
    steps = rule.escalation
    pk = rule.machine_id or rule.machine_type_id or rule.line_id
    initial: dict[str, Any] = {
        "name": rule.name,
        "scope": f"{rule.scope}:{pk}" if pk else rule.scope,
        "severity": rule.severity,
        "schedule": rule.schedule["kind"],
        "advice": rule.advice,
        "latched": rule.latched,
        "hold_minutes": rule.hold_s / 60,
        "escalate_after": steps[0]["after_min"] if steps else None,
        "people": [str(one) for one in steps[0]["user_ids"]] if steps else [],
    }
    if windows:
        initial |= {"days": list(windows[0]["days"]), "starts": windows[0]["from"]}
        initial |= {"ends": windows[0]["to"]}
    join, trees = "", [rule.condition]
    for name in ("all", "any"):
        if name in rule.condition:
            join, trees = name, rule.condition[name]
    parts = [_part(tree) for tree in trees]
    is_drawn = len(parts) <= 2 and all(part is not None for part in parts)
    is_whole = len(windows) <= 1 and len(steps) <= 1
    initial["parts"] = [*parts, {}][:2] if is_drawn and is_whole else None
    return initial | {"join": join}


def _part(tree: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the form shows of one condition, None where it has no words for it."""
    minutes = None
    if "duration" in tree:
        minutes, tree = tree["duration"]["for_s"] / 60, tree["duration"]["condition"]
    kind, body = next(iter(tree.items()))
    part: dict[str, Any] = {}
    if kind == "threshold" and body["op"] in (">", "<"):
        part = {"kind": body["op"], "value": body["value"], "clear": body["clear"]}
    elif kind == "threshold" and body["op"] in BANDS:
        part = {"kind": body["op"], "value": body["low"], "high": body["high"]}
    elif kind == "rate" and (body["op"], body["per"], body["window_s"]) == (
        ">", "min", RATE_WINDOW_S
    ):  # fmt: skip
        part = {"kind": "rate", "value": body["value"], "clear": body["clear"]}
    elif kind == "state":
        said = [{True: "yes", False: "no"}[w] if isinstance(w, bool) else w for w in body["in"]]
        part = {"kind": "state", "words": ", ".join(said)}
    elif kind == "no_data" and minutes is None:
        part, minutes = {"kind": "no_data"}, body["minutes"]
    if not part:
        return None
    return part | {"signal": body.get("signal", ""), "minutes": minutes}
