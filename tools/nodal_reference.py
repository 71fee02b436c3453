"""A power flow of per-phase feeders by nodal admittances: slow, short, and made from the tables' definitions.

It shares no code with the package's solvers. The shipped three-phase feeders get their ratings from it, and
the tests hold it, and with it the tables, against OpenDSS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl

from distgrid.cases import Feeder

SLOT = {"A": 0, "B": 1, "C": 2, "1": 0, "2": 1}
GROUND = -1
OPENDSS_FLOOR = 0.5  # pu of the rated voltage below which OpenDSS has the rated impedance of every load
Stamp = tuple[list[int], np.ndarray]  # rows of Y (GROUND: none), and the block that stands there


class Nodal:
    """Rows, admittances and constant-voltage solution of one feeder."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        self.row: dict[tuple[str, int], int] = {}
        for node, phases in zip(self.column("nodes", "node_id"), self.column("nodes", "phase"), strict=True):
            for letter in phases:
                self.row[node, SLOT[letter]] = len(self.row)
        self.split = {
            node: phases[0] in "12"
            for node, phases in zip(
                self.column("nodes", "node_id"), self.column("nodes", "phase"), strict=True
            )
        }
        self.kv = dict(zip(self.column("nodes", "node_id"), self.column("nodes", "base_kv"), strict=True))
        self.base_v = np.array([self.kv[node] * 1000 / np.sqrt(3) for node, _ in self.row])

    def column(self, table: str, name: str) -> np.ndarray:
        """A column of the feeder."""
        return self.feeder.column(table, name)

    def rows(self, node: str, phases: str) -> list[int]:
        """Rows of some phases of a node, in the order given."""
        return [self.row[node, SLOT[letter]] for letter in phases]

    # -- admittances -----------------------------------------------------------------------------------

    def branch(self, k: int) -> Stamp:
        """Rows of the from end, then of the to end, and the admittances of branch k between them."""
        start, end = self.column("branches", "from_node")[k], self.column("branches", "to_node")[k]
        rows = [self.row.get((start, slot), GROUND) for slot in range(3)]
        rows += [self.row.get((end, slot), GROUND) for slot in range(3)]
        y = np.zeros((6, 6), dtype=complex)
        z = self.column("branches", "r_ohm")[k] + 1j * self.column("branches", "x_ohm")[k]
        if not np.isnan(z).any():
            at = np.flatnonzero(np.diag(z) != 0)
            series = np.zeros((3, 3), dtype=complex)
            series[np.ix_(at, at)] = np.linalg.inv(z[np.ix_(at, at)])
            shunt = 0.5e-6j * self.column("branches", "b_us")[k]
            y += np.block([[series + shunt, -series], [-series, series + shunt]])
        for unit in np.flatnonzero(
            self.column("transformers", "branch_id") == self.column("branches", "branch_id")[k]
        ):
            y += self.unit(int(unit))
        return rows, y

    def unit(self, u: int) -> np.ndarray:
        """(6, 6) admittances of a transformer unit between the phases of both ends."""
        value = {name: self.column("transformers", name)[u] for name in self.feeder.transformers.column_names}
        first, _, second = str(value["connection"]).partition("-")
        three = len(value["from_phase"]) == 3
        rated = float(value["s_mva"]) * 1e6 / (3 if three else 1)
        if first == "centre":
            return self._centre_tap(value, rated)
        root = np.sqrt(3.0) if three else 1.0
        volts = [
            value["hv_kv"] * 1e3 / (root if first == "wye" else 1),
            value["lv_kv"] * 1e3 / (root if second == "wye" else 1),
        ]
        turns = [
            volts[0] * value["tap_from"],
            volts[1] * value["tap_to"] * self.regulated(value["transformer_id"]),
        ]
        y = rated / ((value["r_pct"] + 1j * value["x_pct"]) / 100)
        core = rated * (np.nan_to_num(value["noload_pct"]) - 1j * np.nan_to_num(value["imag_pct"])) / 100
        pair = np.array([[y, -y], [-y, y + core]]) / np.outer(turns, turns)
        step = _direction(first, second, value["lag_deg"])
        total = np.zeros((6, 6), dtype=complex)
        for k in range(3 if three else 1):
            ends = np.zeros((2, 6))
            for side, kind in enumerate((first, second)):
                letters = value[("from_phase", "to_phase")[side]]
                ends[side, 3 * side + SLOT[letters[k]]] = 1
                if kind == "delta":
                    ends[side, 3 * side + SLOT[letters[(k + step) % len(letters)]]] = -1
            total += ends.T @ pair @ ends
            total += np.diag(np.abs(ends).T @ self._float(value, rated, volts))
        return total

    def _float(self, value: dict[str, float], rated: float, volts: list[float]) -> np.ndarray:
        ppm = np.nan_to_num(value["antifloat_ppm"])
        return np.array([-0.5e-6j * ppm * rated / v**2 for v in volts])

    def _centre_tap(self, value: dict[str, float], rated: float) -> np.ndarray:
        r_h, r_1, r_2 = (value[name] for name in ("r_h_pct", "r_1_pct", "r_2_pct"))
        own = [r_h + r_1 + 1j * value["x_pct"], r_h + r_2 + 1j * value["x_h2_pct"]]
        mutual = (sum(own) - (r_1 + r_2 + 1j * value["x_12_pct"])) / 2
        a = np.array([[-1, -1], [1, 0], [0, 1]])
        y = a @ np.linalg.inv(np.array([[own[0], mutual], [mutual, own[1]]]) / 100 / rated) @ a.T
        y[1, 1] += rated * (np.nan_to_num(value["noload_pct"]) - 1j * np.nan_to_num(value["imag_pct"])) / 100
        volts = [value["hv_kv"] * 1e3, value["lv_kv"] * 1e3, value["lv_kv"] * 1e3]
        turns = np.array(
            [volts[0] * value["tap_from"], volts[1] * value["tap_to"], volts[2] * value["tap_to"]]
        )
        ends = np.zeros((3, 6))
        for letter, sign in zip(str(value["from_phase"]), (1, -1), strict=False):
            ends[0, SLOT[letter]] = sign
        ends[1, 3], ends[2, 4] = 1, -1
        float_y = self._float(value, rated, volts) * np.array([1, 1, 2])  # leg 2 is where a neutral would be
        return ends.T @ (y / np.outer(turns, turns)) @ ends + np.diag(np.abs(ends).T @ float_y)

    def regulated(self, unit: str) -> float:
        """What the regulator of a unit, if any, multiplies its turns by."""
        at = np.flatnonzero(self.column("regulators", "transformer_id") == unit)
        if not len(at):
            return 1.0
        return float(
            1 + self.column("regulators", "tap_pos")[at[0]] * self.column("regulators", "tap_step_pu")[at[0]]
        )

    def stamps(self) -> Iterator[Stamp]:
        """Closed branches, capacitors that are on, and the sources."""
        for k in np.flatnonzero(self.column("branches", "status")):
            yield self.branch(int(k))
        for node, phase, kind, q, on in self._rows(
            "capacitors", "node_id", "phase", "connection", "q_mvar", "status"
        ):
            if on:
                for ends, volts, share in self.parts(node, phase, kind):
                    y = 1j * q * share * 1e6 / volts**2
                    yield (ends, y * np.array([[1, -1], [-1, 1]]))
        for node, r, x in self._rows("sources", "node_id", "r_ohm", "x_ohm"):
            yield self.rows(node, "ABC"), np.linalg.inv(r + 1j * x)

    def _rows(self, table: str, *names: str) -> Iterator[tuple]:
        return zip(*(self.column(table, name) for name in names), strict=True)

    def parts(self, node: str, phase: str, kind: str) -> Iterator[tuple[list[int], float, float]]:
        """The single-phase parts of a device: both ends, base voltage between them, share of the power."""
        leg = self.kv[node] * 1000 / np.sqrt(3)
        if kind == "wye":
            for row in self.rows(node, phase):
                yield [row, GROUND], leg, 1 / len(phase)
        elif len(phase) == 2:
            yield self.rows(node, phase), 2 * leg if self.split[node] else np.sqrt(3) * leg, 1.0
        else:
            for pair in ("AB", "BC", "CA"):
                yield self.rows(node, pair), np.sqrt(3) * leg, 1 / 3

    def matrix(self) -> sp.csc_matrix:
        """Admittances of the network, in siemens."""
        entries: list[tuple[int, int, complex]] = []
        for rows, block in self.stamps():
            for i, row in enumerate(rows):
                for j, other in enumerate(rows):
                    if row >= 0 and other >= 0 and block[i, j]:
                        entries.append((row, other, block[i, j]))
        at, to, values = zip(*entries, strict=True)
        return sp.csc_matrix((values, (at, to)), shape=(len(self.row), len(self.row)))

    # -- solution --------------------------------------------------------------------------------------

    def solve(self, band: bool = False, tol: float = 2e-9, max_iter: int = 300) -> Solved:
        """Voltages; with `band`, loads outside of their voltage band are impedances, as in OpenDSS.

        Raises:
            ValueError: no convergence.
        """
        factor = spl.splu(self.matrix())
        emf = np.zeros(len(self.row), dtype=complex)
        for node, v, deg, r, x in self._rows("sources", "node_id", "v_pu", "v_deg", "r_ohm", "x_ohm"):
            turn = np.exp(1j * np.radians(deg - np.array([0, 120, 240])))
            emf[self.rows(node, "ABC")] = np.linalg.solve(
                r + 1j * x, v * self.kv[node] * 1000 / np.sqrt(3) * turn
            )
        loads = self._load_parts()
        v = factor.solve(emf)
        for _ in range(max_iter):
            new = factor.solve(emf + loads.currents(v, band))
            change = np.max(np.abs(new - v) / self.base_v)
            v = new
            if change < tol:
                return Solved(self, v)
        raise ValueError(f"{self.feeder.name}: no convergence (last change {change:.1e} pu)")

    def _load_parts(self) -> Loads:
        cells: list[tuple[float, ...]] = []
        names = (
            "node_id",
            "phase",
            "connection",
            "p_mw",
            "q_mvar",
            "p_z_frac",
            "p_i_frac",
            "q_z_frac",
            "q_i_frac",
        )
        extra = ("cvr_p", "cvr_q", "v_low_pu", "v_high_pu", "v_rated_pu")
        for node, phase, kind, p, q, *rest in self._rows("loads", *names, *extra):
            for ends, volts, share in self.parts(node, phase, kind):
                cells.append((*ends, volts, p * share * 1e6, q * share * 1e6, *rest))
        return Loads(np.array(cells, dtype=float).reshape(-1, 14))


@dataclass
class Loads:
    """Single-phase parts of all loads: ends, base volts, P, Q, shares, exponents, band; one row each."""

    cells: np.ndarray

    def currents(self, v: np.ndarray, band: bool) -> np.ndarray:
        """What the loads inject at every row, in ampere."""
        start, end = self.cells[:, 0].astype(int), self.cells[:, 1].astype(int)
        across = v[start] - np.where(end >= 0, v[end], 0)
        m = np.abs(across) / self.cells[:, 2]
        p = self._power(m, 3, (5, 6, 9), band)
        q = self._power(m, 4, (7, 8, 10), band)
        current = np.conj((p + 1j * q) / across)
        result = np.zeros(len(v), dtype=complex)
        np.add.at(result, start, -current)
        np.add.at(result, end[end >= 0], current[end >= 0])
        return result

    def _power(self, m: np.ndarray, at: int, law: tuple[int, int, int], band: bool) -> np.ndarray:
        """P or Q at voltages of m pu; with `band` as OpenDSS has it outside of the band of each load."""
        power, (z, i, exponent) = self.cells[:, at], (self.cells[:, column] for column in law)
        free = np.isnan(exponent)
        inside = np.where(free, z * m * m + i * m + 1 - z - i, m ** np.nan_to_num(exponent))
        if not band:
            return power * inside
        low, high = np.nan_to_num(self.cells[:, 11], nan=0.0), np.nan_to_num(self.cells[:, 12], nan=9.0)
        rated = np.nan_to_num(self.cells[:, 13], nan=1.0)
        floor = OPENDSS_FLOOR * rated
        slope = (m - floor) / np.maximum(low - floor, 1e-9)
        # Below the band the current falls in a straight line to that of the rated impedance at the floor.
        p_low = m * (floor / rated**2 + slope * (1 / np.maximum(low, 1e-9) - floor / rated**2))
        i_low = m * (floor / rated + slope * (1 - floor / rated))
        p_out = np.where(m > high, (m / high) ** 2, np.where(m < floor, (m / rated) ** 2, p_low))
        i_out = np.where(m > high, m * m / high, np.where(m < floor, m * m / rated, i_low))
        z, i = np.where(free, z, 0), np.where(free, i, 0)
        outside = (
            z * m * m + i * i_out + (1 - z - i) * p_out * np.where(free, 1, rated ** np.nan_to_num(exponent))
        )
        return power * np.where((m < low) | (m > high), outside, inside)


def _direction(first: str, second: str, lag_deg: float) -> int:
    """From which to which terminal the windings of a delta go: +1 to the next, -1 to the one before."""
    if first == second or lag_deg == 0:
        return 1
    return (-1 if lag_deg > 0 else 1) * (1 if first == "delta" else -1)


@dataclass
class Solved:
    """A solution: complex voltages to ground by row, in volt."""

    nodal: Nodal
    v: np.ndarray

    @property
    def pu(self) -> dict[tuple[str, int], complex]:
        """Voltage in pu by node and place of the phase."""
        return {key: self.v[row] / self.nodal.base_v[row] for key, row in self.nodal.row.items()}

    def amps(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Current magnitudes into branch k at its from end and at its to end, (3,) each."""
        rows, block = self.nodal.branch(k)
        v = np.array([self.v[row] if row >= 0 else 0 for row in rows])
        current = np.abs(block @ v)
        return current[:3], current[3:]
