"""Lines, loads, banks, shunts and sources in the words of OpenDSS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...errors import CaseError, Problem
from ...phases import places
from ...schema import SPLIT_PHASES
from .circuit import Row

#: The tables hold susceptances at the frequency of the grid and not that frequency.
HZ = 60.0
ROOT3 = float(np.sqrt(3.0))
#: pu of a voltage that no load reaches.
_NO_LIMIT_PU = 1000.0
_IDEAL_OHM = 1e-9
_ALIKE = 1e-9


@dataclass(frozen=True)
class Names:
    """What the script calls the nodes, and the elements of each class of OpenDSS."""

    buses: Mapping[str, str]
    lines: Mapping[str, str]
    transformers: Mapping[str, str]
    banks: Mapping[str, str]  # of transformers, by branch
    loads: Mapping[str, str]
    capacitors: Mapping[str, str]
    shunts: Mapping[str, str]
    regulators: Mapping[str, str]
    cap_controls: Mapping[str, str]
    sources: Mapping[str, str]

    def bus(self, node: str, letters: str, *after: int) -> str:
        """A bus with its nodes; A, B, C (and the hot legs) are 1, 2, 3."""
        numbers = (*(place + 1 for place in places(letters)), *after)
        return ".".join((self.buses[node], *map(str, numbers)))


def number(value: float) -> str:
    """A number that reads back as it is."""
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _matrix(values: np.ndarray, letters: str) -> str:
    at = list(places(letters))
    rows = values[np.ix_(at, at)]
    return "[" + " | ".join(" ".join(map(number, row[: k + 1])) for k, row in enumerate(rows)) + "]"


# -- sources -------------------------------------------------------------------------------------------------


def source(row: Row, kv: Mapping[str, float], names: Names, head: str) -> str:
    """A balanced voltage behind its impedance.

    Raises:
        CaseError: phases that are not alike.
    """
    z = np.array(row["r_ohm"] or [0.0] * 9) + 1j * np.array(row["x_ohm"] or [0.0] * 9)
    z = z.reshape(3, 3)
    own, mutual = z[0, 0], z[0, 1]
    if np.abs(z - mutual - np.eye(3) * (own - mutual)).max() > _ALIKE * np.abs(z).max():
        where, expected = f"sources, {row['source_id']!r}", "an impedance that is the same in each phase"
        raise CaseError([Problem(where, None, "r_ohm, x_ohm", "", expected)])
    one, zero = (value or 1j * _IDEAL_OHM for value in (own - mutual, own + 2.0 * mutual))
    return (
        f"{head} bus1={names.bus(row['node_id'], 'ABC')} phases=3 basekv={number(kv[row['node_id']])} "
        f"pu={number(row['v_pu'])} angle={number(row['v_deg'])} frequency={number(HZ)} "
        f"R1={number(one.real)} X1={number(one.imag)} R0={number(zero.real)} X0={number(zero.imag)}"
    )


# -- lines ---------------------------------------------------------------------------------------------------


def wire(row: Row, names: Names) -> list[str]:
    """A line by its matrices, per km where its length is known, and what is open of it.

    A line of OpenDSS that is called a switch takes no matrices, so that switches are lines with a control.
    """
    name, letters, km = names.lines[row["branch_id"]], row["letters"], row["length_km"]
    length, units = (km, "km") if km else (1.0, "none")
    nano = row["b_us"] * 1e3 / (2.0 * np.pi * HZ)
    matrices = {"rmatrix": row["r_ohm"], "xmatrix": row["x_ohm"], "cmatrix": nano}
    parts = [
        f"new line.{name} phases={len(letters)} bus1={names.bus(row['from_node'], letters)}",
        f"bus2={names.bus(row['to_node'], letters)}",
        f"length={number(length)} units={units}",
        *(f"{word}={_matrix(values / length, letters)}" for word, values in matrices.items()),
        f"normamps={number(row['amps'] or 0.0)}",
    ]
    found = [" ".join(parts), *(f"open line.{name} {end}" for end in _open_terminals(row))]
    if row["switch"]:
        state = "closed" if row["closed"] else "open"  # a solution puts a switch into its normal state
        control = f"new swtcontrol.{name} switchedobj=line.{name} switchedterm=1"
        found.append(f"{control} normal={state} state={state}")
    return found


def _open_terminals(row: Row) -> tuple[int, ...]:
    """Both where nothing of an open line may charge."""
    if row["closed"]:
        return {"from": (1,), "to": (2,)}.get(row["open_ends"], ())
    return (1, 2) if row["b_us"].any() else (1,)


# -- loads and shunts ------------------------------------------------------------------------------------


def _kv_of(letters: str, connection: str, base_kv: float) -> float:
    """What OpenDSS calls the rated voltage of a device at 1 pu: across it, or between phases of a wye."""
    if connection == "delta" and len(letters) == 2:
        return base_kv * (2.0 / ROOT3 if letters in SPLIT_PHASES else 1.0)
    return base_kv / ROOT3 if len(letters) == 1 else base_kv


def load(row: Row, kv: Mapping[str, float], names: Names) -> str:
    """A load by its model: constant power, impedance or current, shares of these, or exponents."""
    letters, connection = row["phase"], row["connection"]
    rated = row["v_rated_pu"] or 1.0
    p, p_shares = _at_rated(row, "p", rated)
    q, q_shares = _at_rated(row, "q", rated)
    if row["cvr_p"] is not None:
        p, q = row["p_mw"] * rated ** row["cvr_p"], row["q_mvar"] * rated ** row["cvr_q"]
        model = f"model=4 cvrwatts={number(row['cvr_p'])} cvrvars={number(row['cvr_q'])}"
    elif p_shares[:2] == q_shares[:2] and p_shares[:2] in _MODELS:
        model = f"model={_MODELS[p_shares[:2]]}"
    else:
        model = f"model=8 zipv=[{' '.join(map(number, (*p_shares, *q_shares, 0.0)))}]"
    low, high = row["v_low_pu"], row["v_high_pu"]
    band = f"vminpu={number(low / rated if low else 0.0)} vmaxpu={number((high or _NO_LIMIT_PU) / rated)}"
    lowest = "" if low else " vlowpu=0"
    phases = 1 if connection == "delta" and len(letters) == 2 else len(letters)
    return (
        f"new load.{names.loads[row['load_id']]} phases={phases} bus1={names.bus(row['node_id'], letters)} "
        f"conn={connection} kv={number(_kv_of(letters, connection, kv[row['node_id']]) * rated)} "
        f"kw={number(p * 1e3)} kvar={number(q * 1e3)} {model} {band}{lowest}"
    )


#: Models of OpenDSS by shares of impedance and current, alike in P and Q.
_MODELS = {(0.0, 0.0): 1, (1.0, 0.0): 2, (0.0, 1.0): 5}


def _at_rated(row: Row, part: str, rated: float) -> tuple[float, tuple[float, float, float]]:
    """P or Q at the rated voltage, and the shares of impedance, current and power there."""
    z, i = row[f"{part}_z_frac"], row[f"{part}_i_frac"]
    power = row["p_mw" if part == "p" else "q_mvar"]
    shares = (z * rated**2, i * rated, 1.0 - z - i)
    total = sum(shares) if rated != 1.0 else 1.0
    if total == 0.0:
        where, expected = f"loads, {row['load_id']!r}", "shares that leave a load at its rated voltage"
        raise CaseError([Problem(where, None, "v_rated_pu", f"{rated:g}", expected)])
    return power * total, (shares[0] / total, shares[1] / total, shares[2] / total)


def capacitor(row: Row, kv: Mapping[str, float], names: Names) -> str:
    """A bank."""
    name, letters, node = names.capacitors[row["cap_id"]], row["phase"], row["node_id"]
    volts = _kv_of(letters, row["connection"], kv[node])
    if row["connection"] == "delta" and len(letters) == 2:
        where = f"phases=1 bus1={names.bus(node, letters[0])} bus2={names.bus(node, letters[1])}"
    else:
        where = f"phases={len(letters)} bus1={names.bus(node, letters)} conn={row['connection']}"
    return (
        f"new capacitor.{name} {where} kv={number(volts)} kvar={number(row['q_mvar'] * 1e3)} "
        f"states=[{int(row['status'])}]"
    )


def shunt(row: Row, phase: str, kv: float, names: Names) -> list[str]:
    """Conductance as a resistor, susceptance as a capacitor or reactor, the same in all phases of a node."""
    name, bus, n = names.shunts[row["shunt_id"]], names.bus(row["node_id"], phase), len(phase)
    head = f"phases={n} bus1={bus}"
    found = []
    if row["g_mw"]:
        found.append(f"new reactor.{name}_g {head} r={number(n * kv**2 / 3.0 / row['g_mw'])} x=0")
    if row["b_mvar"] > 0:
        volts = number(_kv_of(phase, "wye", kv))
        found.append(f"new capacitor.{name}_b {head} kv={volts} kvar={number(row['b_mvar'] * 1e3)}")
    if row["b_mvar"] < 0:
        found.append(f"new reactor.{name}_b {head} r=0 x={number(-n * kv**2 / 3.0 / row['b_mvar'])}")
    return found
