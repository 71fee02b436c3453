"""Transformers and the controls of taps and banks in the words of OpenDSS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import CaseError, Problem
from ...importers.opendss.compiled.controls import BANK_SETTINGS, TAP_FLAGS, TAP_SETTINGS
from .circuit import Row
from .elements import ROOT3, Names, number

_PT_SECONDARY_V = 120.0
_FIRST_NEUTRAL = 4


class Neutrals:
    """Numbers of nodes for neutrals that hang on one winding alone."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def at(self, node: str) -> int:
        """The next free one at a node."""
        self._used[node] = self._used.get(node, _FIRST_NEUTRAL - 1) + 1
        return self._used[node]


def unit(row: Row, regulator: Row | None, names: Names, neutrals: Neutrals) -> str:
    """A transformer with its taps where they are."""
    text = _centre_tap(row, names) if row["connection"] == "centre-tap" else _two_windings(
        row, regulator, names, neutrals
    )  # fmt: skip
    text = f"{text} bank={names.banks[row['branch_id']]}"
    return text if row["closed"] else f"{text} enabled=no"


def _common(row: Row) -> str:
    keys = (("%noloadloss", "noload_pct"), ("%imag", "imag_pct"), ("ppm_antifloat", "antifloat_ppm"))
    return " ".join(f"{word}={number(row[key] or 0.0)}" for word, key in keys)


def _winding(at: int, bus: str, conn: str, **values: float) -> str:
    told = " ".join(f"{key}={number(value)}" for key, value in values.items())
    return f"wdg={at} bus={bus} conn={conn} {told}"


def _centre_tap(row: Row, names: Names) -> str:
    kva = row["s_mva"] * 1e3
    high, low = names.bus(row["from_node"], row["from_phase"]), names.buses[row["to_node"]]
    conn = "delta" if len(row["from_phase"]) == 2 else "wye"
    sides = (
        (high, conn, row["hv_kv"], row["tap_from"], "r_h_pct"),
        (f"{low}.1.0", "wye", row["lv_kv"], row["tap_to"], "r_1_pct"),
        (f"{low}.0.2", "wye", row["lv_kv"], row["tap_to"], "r_2_pct"),
    )
    windings = [
        _winding(k, bus, kind, kv=kv, kva=kva, tap=tap) + f" %r={number(row[r])}"
        for k, (bus, kind, kv, tap, r) in enumerate(sides, 1)
    ]
    head = f"new transformer.{names.transformers[row['transformer_id']]} phases=1 windings=3"
    x = f"xhl={number(row['x_pct'])} xht={number(row['x_h2_pct'])} xlt={number(row['x_12_pct'])}"
    return " ".join((head, x, _common(row), *windings))


def _two_windings(row: Row, regulator: Row | None, names: Names, neutrals: Neutrals) -> str:
    kinds = row["connection"].split("-")
    three = len(row["from_phase"]) == 3
    taps = [row["tap_from"], row["tap_to"]]
    if regulator is not None:
        taps[1] *= 1.0 + regulator["tap_pos"] * regulator["tap_step_pu"]
    sides = (("from_node", "from_phase", "hv_kv"), ("to_node", "to_phase", "lv_kv"))
    windings = []
    for k, (node, phase, kv) in enumerate(sides):
        after = (neutrals.at(row[node]),) if kinds[k] == "floating" else ()
        bus = names.bus(row[node], row[phase], *after)
        conn = "delta" if kinds[k] == "delta" else "wye"
        text = _winding(k + 1, bus, conn, kv=row[kv], kva=row["s_mva"] * 1e3, tap=taps[k])
        windings.append(f"{text} %r={number(row['r_pct'] / 2.0)}")
    if regulator is not None:
        windings.append(_range(regulator))
    head = (
        f"new transformer.{names.transformers[row['transformer_id']]} phases={3 if three else 1} windings=2 "
        f"leadlag={_leadlag(row, kinds)} xhl={number(row['x_pct'])}"
    )
    return " ".join((head, _common(row), *windings))


def _range(regulator: Row) -> str:
    step, low, high = (regulator[key] for key in ("tap_step_pu", "tap_min", "tap_max"))
    return f"mintap={number(1.0 + low * step)} maxtap={number(1.0 + high * step)} numtaps={high - low}"


def _leadlag(row: Row, kinds: list[str]) -> str:
    """Which of the voltages leads where windings are unlike, in the words of OpenDSS: of the lower one."""
    lag = row["lag_deg"] or 0.0
    if lag == 0.0:
        lag = -30.0 if kinds[0] == "delta" else 30.0  # as the power flow takes it
    return "lead" if (lag < 0) == (row["hv_kv"] >= row["lv_kv"]) else "lag"


def tap_control(regulator: Row, of: Row, kv: Mapping[str, float], names: Names) -> str:
    """A regulator control; empty where the taps have no room to move."""
    if regulator["tap_min"] == regulator["tap_max"]:
        return ""
    settings = _tap_settings(regulator, of, kv)
    words = [f"{word}={number(settings[key])}" for word, key in TAP_SETTINGS.items() if key in settings]
    words += [
        f"{word}={'yes' if regulator[key] else 'no'}"
        for word, key in TAP_FLAGS.items()
        if regulator[key] is not None
    ]
    return (
        f"new regcontrol.{names.regulators[regulator['reg_id']]} "
        f"transformer={names.transformers[of['transformer_id']]} winding=2 "
        f"ptphase={_watched(regulator, of)} {' '.join(words)}"
    )


def _tap_settings(regulator: Row, of: Row, kv: Mapping[str, float]) -> dict[str, float]:
    """What the table says, by column; on a transformer to 120 V where it says no volts."""
    settings: dict[str, Any] = {
        key: regulator[key] for key in TAP_SETTINGS.values() if regulator[key] is not None
    }
    if "rev_threshold_mw" in settings:
        settings["rev_threshold_mw"] *= 1e3
    if not {"v_reg_v", "band_v", "pt_ratio"} <= set(settings):
        delta = of["connection"].endswith("delta")
        settings["pt_ratio"] = kv[of["to_node"]] * 1e3 / (1.0 if delta else ROOT3) / _PT_SECONDARY_V
        settings["v_reg_v"] = regulator["v_set_pu"] * _PT_SECONDARY_V
        settings["band_v"] = regulator["band_pu"] * _PT_SECONDARY_V
    return settings


def _watched(regulator: Row, of: Row) -> int:
    """Which phase of the winding the control looks at, from 1."""
    letters, seen = of["to_phase"], regulator["monitored_phase"]
    if not seen or len(letters) == 2:
        return 1
    pairs = [frozenset((a, b)) for a, b in zip(letters, letters[1:] + letters[:1], strict=True)]
    if len(seen) == 2:
        return pairs.index(frozenset(seen)) + 1
    return letters.index(seen) + 1 if seen in letters else 1


def bank_control(row: Row, wires: Iterable[Row], names: Names) -> str:
    """A capacitor control.

    Raises:
        CaseError: one that watches a transformer.
    """
    watched = next((wire for wire in wires if wire["branch_id"] == row["branch_id"]), None)
    if watched is None:
        where, expected = f"cap_controls, {row['control_id']!r}", "a line or switch"
        raise CaseError([Problem(where, None, "branch_id", repr(row["branch_id"]), expected)])
    phase = watched["letters"].index(row["monitored_phase"]) + 1
    words = [f"{word}={number(row[key])}" for word, key in BANK_SETTINGS.items() if row[key] is not None]
    return (
        f"new capcontrol.{names.cap_controls[row['control_id']]} "
        f"capacitor={names.capacitors[row['cap_id']]} element=line.{names.lines[row['branch_id']]} "
        f"terminal={1 if row['end'] == 'from' else 2} type={row['type']} ctphase={phase} ptphase={phase} "
        f"{' '.join(words)} voltoverride={'yes' if row['v_override'] else 'no'}"
    )
