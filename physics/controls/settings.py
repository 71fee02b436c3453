"""Regulator and capacitor controls of a per-phase network: settings checked, and where they measure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from ...cases.phases import PLACE
from .controlled import ControlledNetwork
from .laws import (
    CURRENT,
    KVAR,
    VOLTAGE,
    BankSettings,
    BoolArray,
    ComplexArray,
    FloatArray,
    IntArray,
    Readings,
    TapSettings,
)

_T = TypeVar("_T")
_KINDS = {"kvar": KVAR, "voltage": VOLTAGE, "current": CURRENT}
_UNITS = {"kvar": "kvar", "voltage": "V", "current": "A"}


@dataclass(frozen=True, eq=False)
class Meters:
    """Places of the instruments; node and branch rows, places A, B, C of phases (-1: ground)."""

    base_v: FloatArray  # (n_bus,) of a phase to ground
    tap_node: IntArray
    tap_branch: IntArray
    tap_plus: IntArray
    tap_minus: IntArray
    ct_place: IntArray  # conductor of the tapped side that carries this unit's current alone
    ct_sign: FloatArray  # -1 where it returns there
    unit_places: BoolArray  # (n_regulator, 3) phases whose power is the unit's; none: one winding between two
    bank_node: IntArray
    bank_branch: IntArray
    bank_at_from: BoolArray
    bank_plus: IntArray
    bank_minus: IntArray

    def read(
        self, v: ComplexArray, s_from: ComplexArray, s_to: ComplexArray, banks: BankSettings
    ) -> Readings:
        """From complex voltages (..., n_bus, 3) in pu and power into both ends (..., n_branch, 3) in MVA."""
        volts = v * self.base_v[:, None]
        at = volts[..., self.tap_node, :]
        rows = np.arange(self.tap_node.size)
        winding = at[..., rows, self.tap_plus] - _or_ground(at, rows, self.tap_minus)
        into = s_to[..., self.tap_branch, :]
        out = -self.ct_sign * _amperes(into[..., rows, self.ct_place], at[..., rows, self.ct_place])
        whole = -np.where(self.unit_places, into.real, 0.0).sum(axis=-1)
        across = (winding * np.conj(out)).real * 1e-6
        forward = np.where(self.unit_places.any(axis=-1), whole, across)
        near = volts[..., self.bank_node, :]
        rows = np.arange(self.bank_node.size)
        power = np.where(
            self.bank_at_from[:, None], s_from[..., self.bank_branch, :], s_to[..., self.bank_branch, :]
        )
        current = _amperes(power[..., rows, self.bank_plus], near[..., rows, self.bank_plus])
        watched = near[..., rows, self.bank_plus] - _or_ground(near, rows, self.bank_minus)
        return Readings(
            winding, out, forward, np.abs(watched) / banks.pt_ratio, np.abs(current) / banks.ct_ratio,
            1e3 * np.nan_to_num(power.imag).sum(axis=-1) + 0.0 * np.abs(watched),
        )  # fmt: skip


def _or_ground(v: ComplexArray, rows: IntArray, place: IntArray) -> ComplexArray:
    return np.where(place < 0, 0.0, v[..., rows, np.maximum(place, 0)])


def _amperes(s_mva: ComplexArray, volts: ComplexArray) -> ComplexArray:
    return np.conj(1e6 * s_mva / np.where(volts == 0, np.nan, volts))


@dataclass(frozen=True, eq=False)
class LocalControls:
    """Every control of a network."""

    taps: TapSettings
    banks: BankSettings
    meters: Meters

    def read(self, v: ComplexArray, s_from: ComplexArray, s_to: ComplexArray) -> Readings:
        """What they measure; see :meth:`Meters.read`."""
        return self.meters.read(v, s_from, s_to, self.banks)

    def only(self, regulators: IntArray, banks: IntArray) -> LocalControls:
        """The controls of these rows of `regulators` and `cap_controls` alone."""
        meters = {
            f.name: getattr(self.meters, f.name)[banks if f.name.startswith("bank") else regulators]
            for f in fields(Meters)
            if f.name != "base_v"
        }
        return LocalControls(
            _rows(self.taps, regulators), _rows(self.banks, banks), replace(self.meters, **meters)
        )


def _rows(settings: _T, rows: IntArray) -> _T:
    taken: dict[str, Any] = {}
    for f in fields(settings):  # type: ignore[arg-type]
        column = getattr(settings, f.name)
        taken[f.name] = tuple(column[k] for k in rows) if isinstance(column, tuple) else column[rows]
    return type(settings)(**taken)


def local_controls(net: ControlledNetwork) -> LocalControls:
    """Controls of the tables `regulators` and `cap_controls`.

    Raises:
        ValueError: the network is balanced, a setting is missing, or settings that contradict each other.
    """
    if net.feeder.phases != "per-phase":
        raise ValueError("local control needs a per-phase network: compile a per-phase feeder")
    units = {row["transformer_id"]: row for row in net.feeder.transformers.to_pylist()}
    regulators = net.feeder.regulators.to_pylist()
    controls = net.feeder.cap_controls.to_pylist()
    taps = _tap_settings(regulators, units)
    banks = _bank_settings(net, controls)
    return LocalControls(taps, banks, _meters(net, regulators, controls, units))


def _need(table: str, name: str, row: dict[str, Any], columns: tuple[str, ...], why: str) -> None:
    for column in columns:
        if row[column] is None:
            raise ValueError(f"{table} {name!r}: {column} is null; {why} needs a number")


def _check_regulator(row: dict[str, Any]) -> None:
    name = row["reg_id"]
    _need("regulator", name, row, ("v_reg_v", "band_v", "pt_ratio", "delay_s"), "local control")
    if row["ldc_r_v"] or row["ldc_x_v"] or row["rev_ldc_r_v"] or row["rev_ldc_x_v"]:
        _need("regulator", name, row, ("ct_a",), "line-drop compensation")
    if row["reversible"]:
        columns = ("rev_v_reg_v", "rev_band_v", "rev_delay_s", "rev_threshold_mw")
        _need("regulator", name, row, columns, "a reversible control")
        if row["rev_threshold_mw"] < 0:
            raise ValueError(
                f"regulator {name!r}: rev_threshold_mw is {row['rev_threshold_mw']}; expected a number >= 0"
            )
    if row["v_limit_v"] and row["v_limit_v"] < row["v_reg_v"] - row["band_v"] / 2.0:
        raise ValueError(
            f"regulator {name!r}: v_limit_v is {row['v_limit_v']}, below the band of v_reg_v "
            f"{row['v_reg_v']} with band_v {row['band_v']}: no tap could satisfy both"
        )


def _tap_settings(rows: list[dict[str, Any]], units: dict[str, dict[str, Any]]) -> TapSettings:
    for row in rows:
        _check_regulator(row)

    def column(name: str, default: float = 0.0) -> FloatArray:
        return np.array([default if row[name] is None else row[name] for row in rows], dtype=np.float64)

    def whole(name: str, default: int = 0) -> IntArray:
        return column(name, default).astype(np.int64)

    limit = column("v_limit_v")
    step = np.array([_step_v(row, units[row["transformer_id"]]) for row in rows], dtype=np.float64)
    order = [k if row["order"] is None else row["order"] for k, row in enumerate(rows)]
    return TapSettings(
        reg_id=tuple(str(row["reg_id"]) for row in rows),
        v_reg_v=column("v_reg_v"),
        band_v=column("band_v"),
        pt_ratio=column("pt_ratio"),
        ct_a=column("ct_a", 1.0),
        ldc_v=column("ldc_r_v") + 1j * column("ldc_x_v"),
        delay_s=column("delay_s"),
        tap_delay_s=column("tap_delay_s"),
        max_tap_change=whole("max_tap_change", 16),
        v_limit_v=np.where(limit > 0, limit, np.inf),
        reversible=column("reversible") > 0,
        rev_v_reg_v=column("rev_v_reg_v", 1.0),
        rev_band_v=column("rev_band_v"),
        rev_ldc_v=column("rev_ldc_r_v") + 1j * column("rev_ldc_x_v"),
        rev_delay_s=column("rev_delay_s"),
        rev_threshold_mw=column("rev_threshold_mw"),
        rev_neutral=column("rev_neutral") > 0,
        tap_min=whole("tap_min"),
        tap_max=whole("tap_max"),
        tap_step_pu=column("tap_step_pu"),
        step_v=step,
        order=np.array(order, dtype=np.int64),
    )


def _step_v(row: dict[str, Any], unit: dict[str, Any]) -> float:
    """PT volts of one step of the tapped winding."""
    three_wye = len(unit["to_phase"]) == 3 and unit["connection"].endswith("wye")
    winding_v = unit["lv_kv"] * 1e3 / (np.sqrt(3.0) if three_wye else 1.0)
    return float(row["tap_step_pu"] * winding_v * unit["tap_to"] / row["pt_ratio"])


def _bank_settings(net: ControlledNetwork, rows: list[dict[str, Any]]) -> BankSettings:
    cap_row = {cap: k for k, cap in enumerate(net.feeder.column("capacitors", "cap_id"))}
    for row in rows:
        _check_bank(row)

    def column(name: str, default: float = 0.0) -> FloatArray:
        return np.array([default if row[name] is None else row[name] for row in rows], dtype=np.float64)

    return BankSettings(
        control_id=tuple(str(row["control_id"]) for row in rows),
        cap_row=np.array([cap_row[row["cap_id"]] for row in rows], dtype=np.int64),
        kind=np.array([_KINDS[row["type"]] for row in rows], dtype=np.int64),
        v_override=column("v_override") > 0,
        **{
            name: column(name)
            for name in (
                "on_setting", "off_setting", "delay_on_s", "delay_off_s", "dead_time_s", "pt_ratio",
                "ct_ratio", "v_min_v", "v_max_v",
            )
        },
    )  # fmt: skip


def _check_bank(row: dict[str, Any]) -> None:
    name, kind = row["control_id"], row["type"]
    on, off = row["on_setting"], row["off_setting"]
    if (on > off) if kind == "voltage" else (on < off):
        side = "below" if kind == "voltage" else "above"
        raise ValueError(
            f"capacitor control {name!r}: on_setting is {on} {_UNITS[kind]} and off_setting {off}; "
            f"a {kind} control switches on {side} its off_setting, else it would never rest"
        )
    if row["v_override"]:
        _need("capacitor control", name, row, ("v_min_v", "v_max_v"), "the voltage override")
        if row["v_min_v"] >= row["v_max_v"]:
            raise ValueError(
                f"capacitor control {name!r}: v_min_v is {row['v_min_v']}; expected a voltage below v_max_v "
                f"{row['v_max_v']}"
            )


def _meters(
    net: ControlledNetwork,
    regulators: list[dict[str, Any]],
    controls: list[dict[str, Any]],
    units: dict[str, Any],
) -> Meters:
    sharing: dict[tuple[str, str], int] = {}  # (branch, letter): units that touch it
    for unit in units.values():
        for letter in unit["to_phase"]:
            key = unit["branch_id"], letter
            sharing[key] = sharing.get(key, 0) + 1
    taps = [_tap_meter(net, row, units[row["transformer_id"]], sharing) for row in regulators]
    caps = [_bank_meter(net, row) for row in controls]
    tap = np.array([t[:6] for t in taps], dtype=np.int64).reshape(-1, 6)
    bank = np.array(caps, dtype=np.int64).reshape(-1, 5)
    return Meters(
        base_v=net.base_kv * 1e3 / np.sqrt(3.0),
        tap_node=tap[:, 0], tap_branch=tap[:, 1], tap_plus=tap[:, 2], tap_minus=tap[:, 3], ct_place=tap[:, 4],
        ct_sign=tap[:, 5].astype(np.float64),
        unit_places=np.array([t[6] for t in taps], dtype=bool).reshape(-1, 3),
        bank_node=bank[:, 0], bank_branch=bank[:, 1], bank_at_from=bank[:, 2] == 1, bank_plus=bank[:, 3],
        bank_minus=bank[:, 4],
    )  # fmt: skip


def _tap_meter(
    net: ControlledNetwork, row: dict[str, Any], unit: dict[str, Any], sharing: dict[tuple[str, str], int]
) -> tuple[Any, ...]:
    name, letters = row["reg_id"], row["monitored_phase"]
    if not letters:
        raise ValueError(f"regulator {name!r}: monitored_phase is null; it must name the watched phase")
    if not set(letters) <= set(unit["to_phase"]):
        raise ValueError(
            f"regulator {name!r}: monitored_phase is {letters!r}; expected phases of its unit "
            f"{unit['transformer_id']!r}, which has {unit['to_phase']!r}"
        )
    branch = net.feeder.branch_index[row["branch_id"]]
    places = [PLACE[letter] for letter in letters]
    wye = unit["connection"].endswith("wye")
    if len(places) != (1 if wye else 2):
        expected = "one phase of a wye" if wye else "the ordered pair of phases of a delta"
        raise ValueError(f"regulator {name!r}: monitored_phase is {letters!r}; expected {expected} winding")
    alone = [k for k, letter in enumerate(letters) if sharing[row["branch_id"], letter] == 1]
    if not alone:
        raise ValueError(
            f"regulator {name!r}: both conductors {letters!r} also carry current of other units of branch "
            f"{row['branch_id']!r}, so its own current is not measured"
        )
    ct = alone[0]
    mask = [False] * 3
    if wye or len(unit["to_phase"]) == 3:
        for letter in unit["to_phase"]:
            mask[PLACE[letter]] = True
    minus = places[1] if len(places) == 2 else -1
    return net.to_row[branch], branch, places[0], minus, places[ct], 1 - 2 * ct, mask


def _bank_meter(net: ControlledNetwork, row: dict[str, Any]) -> tuple[int, ...]:
    branch = net.feeder.branch_index[row["branch_id"]]
    at_from = row["end"] == "from"
    node = int((net.from_row if at_from else net.to_row)[branch])
    phases = str(net.feeder.column("branches", "phase")[branch])
    letters = row["monitored_phase"]
    places = [PLACE[letter] for letter in letters]
    if len(places) > 2:
        raise ValueError(
            f"capacitor control {row['control_id']!r}: monitored_phase is {letters!r}; expected one phase, "
            "or two for the voltage between them"
        )
    cap = [str(c) for c in net.feeder.column("capacitors", "cap_id")].index(row["cap_id"])
    delta = net.feeder.column("capacitors", "connection")[cap] == "delta"
    if delta and len(places) == 1:  # the relay of a delta bank is connected between phases
        following = phases[(phases.index(letters) + 1) % len(phases)]
        places.append(PLACE[following])
        if following == letters:
            raise ValueError(
                f"capacitor control {row['control_id']!r}: its bank {row['cap_id']!r} is in delta, but "
                f"branch {row['branch_id']!r} has phase {phases!r} only: no voltage between phases"
            )
    return node, branch, int(at_from), places[0], places[1] if len(places) == 2 else -1
