"""Guess from a key what a signal is called, its unit and what it tells about the machine.

A guess is a courtesy: it is stored as the signal's first label and anyone may correct it.
Pure functions, used by ingest at the first sight of a key and by the pages to show how sure
the guess is.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guess:
    """What a key probably means. `is_sure` is False where a person should look."""

    label: str
    unit: str
    role: str
    is_sure: bool


# Endings of keys, longest first where one contains another.
_UNITS: tuple[tuple[str, str], ...] = (
    ("_mm_per_min", "mm/min"),
    ("_m_per_min", "m/min"),
    ("_mm_s2", "mm/s²"),
    ("_mm_s", "mm/s"),
    ("_m_s2", "m/s²"),
    ("_m_s", "m/s"),
    ("_mm_min", "mm/min"),
    ("_l_min", "l/min"),
    ("_m3_h", "m³/h"),
    ("_kg_h", "kg/h"),
    ("_per_min", "1/min"),
    ("_per_h", "1/h"),
    ("_percent", "%"),
    ("_pct", "%"),
    ("_degc", "°C"),
    ("_celsius", "°C"),
    ("_c", "°C"),
    ("_degf", "°F"),
    ("_kelvin", "K"),
    ("_k", "K"),
    ("_rpm", "rpm"),
    ("_kwh", "kWh"),
    ("_mwh", "MWh"),
    ("_wh", "Wh"),
    ("_kw", "kW"),
    ("_kva", "kVA"),
    ("_w", "W"),
    ("_mv", "mV"),
    ("_v", "V"),
    ("_ma", "mA"),
    ("_a", "A"),
    ("_mbar", "mbar"),
    ("_bar", "bar"),
    ("_kpa", "kPa"),
    ("_mpa", "MPa"),
    ("_pa", "Pa"),
    ("_psi", "psi"),
    ("_hz", "Hz"),
    ("_khz", "kHz"),
    ("_nm", "Nm"),
    ("_kn", "kN"),
    ("_n", "N"),
    ("_um", "µm"),
    ("_mm", "mm"),
    ("_cm", "cm"),
    ("_m", "m"),
    ("_kg", "kg"),
    ("_g", "g"),
    ("_ms", "ms"),
    ("_min", "min"),
    ("_s", "s"),
    ("_h", "h"),
    ("_db", "dB"),
    ("_ppm", "ppm"),
    ("_l", "l"),
)

# Words inside keys: (pattern, label, unit where the ending names none, role).
_WORDS: tuple[tuple[str, str, str, str], ...] = (
    (r"^(execution|state|status|machine_state|mode)$", "State", "", "state"),
    (r"^(part_?count|parts?|good_?parts?|n_parts|count|pieces)$", "Parts made", "parts", "count"),
    (r"^(scrap|rejects?|bad_?parts?)(_count)?$", "Parts rejected", "parts", ""),
    (r"^(fault|alarm|error|estop|emergency_stop)$", "Fault", "", "fault"),
    (r"^cycle$", "Cycle", "cycles", "life"),
    (r"(operating|run(ning)?)_?hours", "Operating hours", "h", "life"),
    (r"^power|_power$|active_power", "Power", "kW", "power"),
    (r"^energy|_energy$", "Energy", "kWh", "energy"),
    (r"spindle_?speed|^speed$|^rpm$", "Speed", "rpm", "speed"),
    (r"^vib(ration)?(_rms)?$", "Vibration", "mm/s", ""),
    (r"^t\d+$|^temp\d*$", "Temperature", "°C", ""),
)

_ABBREVIATIONS = {
    "temp": "temperature", "vib": "vibration", "pct": "percent", "rms": "RMS", "press": "pressure",
    "curr": "current", "volt": "voltage", "pos": "position", "freq": "frequency", "lvl": "level",
    "spd": "speed", "hum": "humidity", "avg": "average", "act": "actual", "sp": "set point",
    "x": "X", "y": "Y", "z": "Z", "co2": "CO₂", "ph": "pH", "oee": "OEE", "pv": "actual value",
    "rul": "RUL", "acc": "acceleration",
}  # fmt: skip

_ROLE_OF_UNIT = {"rpm": "speed", "kW": "power", "W": "power", "kWh": "energy", "Wh": "energy"}


def guess(*, key: str, kind: str) -> Guess:
    """Guess the meaning of a key as sent; `kind` is n (number), b (boolean) or s (text)."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
    stem, unit = _split_unit(name) if kind == "n" else (name, "")
    for pattern, label, usual_unit, role in _WORDS:
        if re.search(pattern, stem) or re.search(pattern, name):
            if role == "state" and kind != "s":
                role = ""
            is_vague = bool(re.fullmatch(r"t\d+|temp\d*", stem))
            return Guess(label, unit or (usual_unit if kind == "n" else ""), role, not is_vague)
    words = [_ABBREVIATIONS.get(word, word) for word in stem.split("_") if word]
    text = " ".join(words) or key
    label = text[:1].upper() + text[1:]
    return Guess(label[:80], unit, _ROLE_OF_UNIT.get(unit, ""), bool(unit) or kind != "n")


def _split_unit(name: str) -> tuple[str, str]:
    for ending, unit in _UNITS:
        if name.endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)], unit
    return name, ""
