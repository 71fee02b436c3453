"""OpenDSS's own regulator and capacitor controls, on circuits written from a feeder's tables."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from distgrid.cases.model.feeder import Feeder

from . import dss_oracle

_DIGIT = {"A": 1, "B": 2, "C": 3}
_REG_COLUMNS = {
    "vreg": "v_reg_v", "band": "band_v", "ptratio": "pt_ratio", "ctprim": "ct_a", "r": "ldc_r_v",
    "x": "ldc_x_v", "delay": "delay_s", "tapdelay": "tap_delay_s", "maxtapchange": "max_tap_change",
    "vlimit": "v_limit_v", "revvreg": "rev_v_reg_v", "revband": "rev_band_v", "revr": "rev_ldc_r_v",
    "revx": "rev_ldc_x_v", "revdelay": "rev_delay_s",
}  # fmt: skip
_CAP_COLUMNS = {
    "onsetting": "on_setting", "offsetting": "off_setting", "delay": "delay_on_s", "delayoff": "delay_off_s",
    "deadtime": "dead_time_s", "ptratio": "pt_ratio", "ctratio": "ct_ratio", "vmin": "v_min_v",
    "vmax": "v_max_v",
}  # fmt: skip


class Rest(NamedTuple):
    """Where OpenDSS's controls came to rest."""

    tap_pos: NDArray[np.int64]
    cap_on: NDArray[np.bool_]
    v: NDArray[np.complex128]  # (n_bus, 3) pu
    log: list[tuple[int, str, int]]  # iteration, reg_id or cap_id, position or state
    iterations: int


def _settings(row: dict[str, Any], columns: dict[str, str]) -> str:
    return " ".join(f"{key}={row[col]:.17g}" for key, col in columns.items() if row[col] is not None)


def _regcontrol(row: dict[str, Any], unit: dict[str, Any]) -> str:
    phase = unit["to_phase"].index(row["monitored_phase"][0]) + 1 if len(unit["to_phase"]) == 3 else 1
    text = (
        f"new regcontrol.{row['reg_id']} transformer={unit['transformer_id']} winding=2 ptphase={phase} "
        f"eventlog=yes {_settings(row, _REG_COLUMNS)}"
    )
    if row["reversible"]:
        text += f" reversible=yes revthreshold={row['rev_threshold_mw'] * 1e3:.17g}"
        text += " revneutral=yes" if row["rev_neutral"] else ""
    return text


def _bank(cap: dict[str, Any], kv: float) -> str:
    n, delta = len(cap["phase"]), cap["connection"] == "delta"
    nodes = ".".join(str(_DIGIT[x]) for x in cap["phase"])
    volts = kv if n > 1 or delta else kv / np.sqrt(3.0)
    kvar = cap["q_mvar"] * 1e3
    return (
        f"new capacitor.{cap['cap_id']} phases={n} bus1=b_{cap['node_id']}.{nodes} kv={volts:.17g} "
        f"kvar={kvar:.17g} conn={'delta' if delta else 'wye'}"
    )


def _capcontrol(row: dict[str, Any], phases: str) -> str:
    phase = phases.index(row["monitored_phase"]) + 1
    override = " voltoverride=yes" if row["v_override"] else ""
    return (
        f"new capcontrol.{row['control_id']} capacitor={row['cap_id']} element=line.{row['branch_id']} "
        f"terminal={1 if row['end'] == 'from' else 2} type={row['type']} ptphase={phase} ctphase={phase} "
        f"eventlog=yes {_settings(row, _CAP_COLUMNS)}{override}"
    )


def script(feeder: Feeder) -> list[str]:
    """The controls of the tables, and the banks that they switch as one capacitor each."""
    kv = dict(zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True))
    phase = dict(zip(feeder.column("branches", "branch_id"), feeder.column("branches", "phase"), strict=True))
    units = {row["transformer_id"]: row for row in feeder.transformers.to_pylist()}
    rows = sorted(feeder.regulators.to_pylist(), key=lambda row: row["order"] or 0)
    lines = [_regcontrol(row, units[row["transformer_id"]]) for row in rows]
    controls = feeder.cap_controls.to_pylist()
    switched = {row["cap_id"] for row in controls}
    banks = [cap for cap in feeder.capacitors.to_pylist() if cap["cap_id"] in switched]
    lines += [_bank(cap, kv[cap["node_id"]]) for cap in banks]
    lines += [_capcontrol(row, phase[row["branch_id"]]) for row in controls]  # a new control closes its bank
    return lines + [f"open capacitor.{cap['cap_id']} term=1" for cap in banks if not cap["status"]]


def settle(feeder: Feeder, *, bands: bool = True, limit: int = 100) -> Rest:
    """Solve with OpenDSS's static control mode from the taps and bank states of the tables."""
    from dss import DSS

    switched = pa.array(feeder.column("cap_controls", "cap_id"), pa.string())
    kept = feeder.capacitors.filter(pc.invert(pc.is_in(feeder.capacitors["cap_id"], value_set=switched)))
    bare = dataclasses.replace(
        feeder, capacitors=kept, cap_controls=feeder.cap_controls.slice(0, 0)
    )  # banks with a control are written whole below
    commands = [*dss_oracle.script(bare, bands=bands), *script(feeder)]
    for command in [*commands, "set controlmode=static", f"set maxcontroliter={limit}", "solve"]:
        DSS.Text.Command = command
    circuit = DSS.ActiveCircuit
    assert circuit.Solution.Converged
    v = _voltages(feeder, circuit)
    taps = []
    for reg_id in feeder.column("regulators", "reg_id"):
        circuit.RegControls.Name = reg_id
        taps.append(circuit.RegControls.TapNumber)
    states = feeder.column("capacitors", "status").copy()
    for k, cap in enumerate(feeder.column("capacitors", "cap_id")):
        if cap in switched.to_pylist():
            circuit.SetActiveElement(f"capacitor.{cap}")
            states[k] = not circuit.ActiveCktElement.IsOpen(1, 0)
    log = [action for line in circuit.Solution.EventLog if (action := _action(line, feeder))]
    return Rest(np.array(taps, dtype=np.int64), states, v, log, circuit.Solution.ControlIterations)


def _voltages(feeder: Feeder, circuit: Any) -> NDArray[np.complex128]:
    raw = np.asarray(circuit.AllBusVolts, dtype=float)
    volts = dict(zip((n.lower() for n in circuit.AllNodeNames), raw[::2] + 1j * raw[1::2], strict=True))
    v = np.full((feeder.n_nodes, 3), np.nan + 0j)
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3.0)
    names = zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "phase"), strict=True)
    for n, (node, letters) in enumerate(names):
        for letter in letters:
            if (key := f"b_{node}.{_DIGIT[letter]}".lower()) in volts:
                v[n, _DIGIT[letter] - 1] = volts[key] / base[n]
    return v


def _action(line: str, feeder: Feeder) -> tuple[int, str, int] | None:
    found = re.search(r"ControlIter=(\d+), Element=(\w+)\.([^,]+), Action=(.*)", line)
    assert found is not None, line
    iteration, kind, name, action = int(found[1]), found[2].lower(), found[3].lower(), found[4].upper()
    if kind == "regulator":
        row = [str(u).lower() for u in feeder.column("regulators", "transformer_id")].index(name)
        ratio = float(action.rsplit(" ", 1)[1].rstrip("."))
        step = feeder.column("regulators", "tap_step_pu")[row]
        return iteration, str(feeder.column("regulators", "reg_id")[row]), round((ratio - 1.0) / step)
    state = {"**CLOSED**": 1, "**OPENED**": 0}.get(action.strip())
    return None if state is None else (iteration, name, state)
