"""Random per-phase feeders of the kinds that are no forest of segments, and their elements one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .phase_grids import LETTERS, Grid3

BANKS: tuple[tuple[str, float], ...] = (
    ("wye-wye", 0.0), ("delta-wye", 30.0), ("delta-wye", -30.0), ("wye-delta", 30.0), ("wye-delta", -30.0),
    ("delta-delta", 0.0),
)  # fmt: skip
MODELS: tuple[dict[str, object], ...] = (
    {}, {"z": 1.0}, {"i": 1.0}, {"z": 0.3, "i": 0.2}, {"cvr": (0.8, 1.7)},
)  # fmt: skip


@dataclass
class Growth:
    """A feeder as it grows: what each node has, and where things may be attached."""

    grid: Grid3
    rng: np.random.Generator
    phases: dict[str, str] = field(default_factory=dict)
    kv: dict[str, float] = field(default_factory=dict)
    grounded: dict[str, bool] = field(default_factory=dict)
    count: int = 0
    no_legs: set[str] = field(default_factory=set)  # nodes with two phases at nearly the same voltage

    def add(self, phases: str, kv: float, grounded: bool = True) -> str:
        """A new node."""
        name = f"n{self.count}"
        self.count += 1
        self.grid.node(name, phases, kv)
        self.phases[name], self.kv[name], self.grounded[name] = phases, kv, grounded
        return name

    def nodes(self, *, phases: str = "", kv: float | None = None, grounded: bool | None = None) -> list[str]:
        """Nodes with all of these phases, at this voltage."""
        return [
            n
            for n, own in self.phases.items()
            if own and set(phases) <= set(own) and (kv is None or self.kv[n] == kv)
            and (grounded is None or self.grounded[n] == grounded) and "1" not in own
        ]  # fmt: skip

    def pick(self, names: list[str]) -> str:
        """One of them."""
        return names[int(self.rng.integers(len(names)))]

    def wire(
        self, start: str, end: str, phases: str, *, scale: float = 1.0, branch_id: str | None = None,
        open_ends: str = "",
    ) -> None:  # fmt: skip
        """A line of random length."""
        if self.rng.random() < 0.3:
            start, end = end, start
            open_ends = {"": "", "to": "from", "from": "to"}[open_ends]
        km = float(self.rng.uniform(0.1, 0.8)) * scale * (self.kv[start] / 4.16) ** 2
        name = branch_id or f"e{len(self.grid.rows['branches'])}"
        self.grid.line(start, end, phases, km=km, branch_id=name, open_ends=open_ends)
        row = self.grid.rows["branches"][-1]
        row["b_us"] = [b / (self.kv[start] / 4.16) ** 4 for b in row["b_us"]]


def random_kinds(seed: int, n: int = 14) -> Grid3:
    """A random feeder in which every draw adds one of the kinds; radial phase by phase."""
    rng = np.random.default_rng(seed)
    grow = Growth(Grid3(name=f"kinds{seed}"), rng)
    head = grow.add("ABC", 4.16)
    z = (float(rng.uniform(0.005, 0.05)) * (1 + 3j), float(rng.uniform(0.0, 0.012)) * (1 + 3j))
    grow.grid.source(head, 1.03, float(rng.uniform(-30, 30)), z)
    trunk = grow.add("ABC", 4.16)
    grow.wire(head, trunk, "ABC")
    steps = (
        _spur, _spur, _parallel, _apart, _bank, _bank, _regulated, _split_phase, _open_end, _half_dead,
        _phase_pair, _delta_dead,
    )  # fmt: skip
    while grow.count < n:
        steps[int(rng.integers(len(steps)))](grow)
    _spread_no_legs(grow)
    order = rng.permutation(len(grow.grid.rows["branches"]))
    grow.grid.rows["branches"] = [grow.grid.rows["branches"][k] for k in order]
    for name in list(grow.phases)[1:]:
        _load(grow, name)
    for name in rng.choice([n for n in list(grow.phases)[1:] if grow.phases[n]], 3):
        delta = not grow.grounded[name] and rng.random() < 0.5
        if len(grow.phases[name]) > 1 or not delta:
            q = 0.004 * (0.1 if grow.kv[name] < 1 else 1.0) * len(grow.phases[name])
            grow.grid.cap(str(name), grow.phases[name], q, connection="delta" if delta else "wye")
    return grow.grid


def _spread_no_legs(grow: Growth) -> None:
    """What is behind a bank with a dead terminal has such voltages, too; later nodes hang on earlier ones."""
    for row in grow.grid.rows["branches"] * 3:
        early, late = sorted((row["from_node"], row["to_node"]), key=lambda name: int(name[1:]))
        if early in grow.no_legs:
            grow.no_legs.add(late)


def _spur(grow: Growth) -> None:
    """A line with some of the phases."""
    up = grow.pick(grow.nodes())
    own = grow.phases[up]
    keep = own
    if grow.grounded[up] and grow.rng.random() < 0.4:
        keep = "".join(sorted(grow.rng.choice(list(own), grow.rng.integers(1, len(own) + 1), replace=False)))
    name = grow.add(keep, grow.kv[up], grow.grounded[up])
    grow.wire(up, name, keep)


def _parallel(grow: Growth) -> None:
    """Two or three branches between the same nodes: lines, or banks of one connection."""
    up = grow.pick(grow.nodes())
    count = int(grow.rng.integers(2, 4))
    own = grow.phases[up]
    if len(own) == 3 and grow.kv[up] == 4.16 and grow.rng.random() < 0.5:
        connection, lag = _connection(grow, up)
        name = grow.add(own, 0.48, connection.endswith("wye"))
        for _ in range(count):
            _unit(grow, up, name, connection, lag)
        return
    name = grow.add(own, grow.kv[up], grow.grounded[up])
    for k in range(count):
        part = own if k == 0 or len(own) == 1 or grow.rng.random() < 0.7 else own[:2]
        grow.wire(up, name, part)


def _connection(grow: Growth, up: str) -> tuple[str, float]:
    """Any connection; behind a delta without ground one that does not draw from phase to ground."""
    fit = [one for one in BANKS if grow.grounded[up] or one[0].startswith("delta")]
    return fit[int(grow.rng.integers(len(fit)))]


def _unit(grow: Growth, up: str, name: str, connection: str, lag: float) -> None:
    size = float(grow.rng.uniform(0.15, 0.5))
    unit = {
        "connection": connection, "lag_deg": lag, "hv_kv": grow.kv[up], "lv_kv": grow.kv[name], "s_mva": size,
        "x_pct": float(grow.rng.uniform(2, 7)), "antifloat_ppm": 1.0,
        "noload_pct": float(grow.rng.choice([0.0, 0.3])), "imag_pct": float(grow.rng.choice([0.0, 0.8])),
    }  # fmt: skip
    branch = f"e{len(grow.grid.rows['branches'])}"
    if grow.rng.random() < 0.4:  # written the other way round: fed from its to end
        start, end = connection.split("-")
        unit |= {
            "connection": f"{end}-{start}", "lag_deg": -lag, "hv_kv": grow.kv[name], "lv_kv": grow.kv[up]
        }  # fmt: skip
        grow.grid.bank(name, up, [unit], branch_id=branch)
    else:
        grow.grid.bank(up, name, [unit], branch_id=branch)


def _apart(grow: Growth) -> None:
    """The phases of a node arrive by different ways, and go on together."""
    up = grow.pick(grow.nodes(phases="ABC", grounded=True))
    alone = LETTERS[int(grow.rng.integers(3))]
    pair = LETTERS.replace(alone, "")
    aside = grow.add(alone, grow.kv[up])
    meet = grow.add("ABC", grow.kv[up])
    on = grow.add("ABC", grow.kv[up])
    grow.wire(up, meet, pair)
    grow.wire(up, aside, alone)
    if grow.rng.random() < 0.5:
        grow.wire(aside, meet, alone)
        grow.wire(meet, on, "ABC")
    else:  # the lone phase goes through the common line against the others
        grow.wire(aside, on, alone)
        grow.wire(meet, on, "ABC")


def _bank(grow: Growth) -> None:
    """A three-phase bank of any connection, from either end."""
    up = grow.pick(grow.nodes(phases="ABC", kv=4.16))
    connection, lag = _connection(grow, up)
    name = grow.add("ABC", 0.48, connection.endswith("wye"))
    _unit(grow, up, name, connection, lag)


def _regulated(grow: Growth) -> None:
    """A load tap changer on a bank of any connection, ganged or, where its windings are, per phase."""
    up = grow.pick(grow.nodes(phases="ABC", kv=4.16))
    connection, lag = _connection(grow, up)
    taps = int(grow.rng.integers(-10, 11))
    name = grow.add("ABC", 4.16, connection.endswith("wye"))
    unit = {
        "connection": connection, "lag_deg": lag, "taps": taps, "antifloat_ppm": 1.0,
        "noload_pct": float(grow.rng.choice([0.0, 0.3])),
    }  # fmt: skip
    if connection == "wye-wye" and grow.grounded[up]:
        units = [
            unit | {"from_phase": p, "to_phase": p, "hv_kv": 2.4018, "lv_kv": 2.4018, "s_mva": 0.2,
                    "taps": int(grow.rng.integers(-10, 11))}
            for p in LETTERS
        ]  # fmt: skip
        grow.grid.bank(up, name, units, branch_id=f"e{len(grow.grid.rows['branches'])}")
        return
    grow.grid.bank(up, name, [unit], branch_id=f"e{len(grow.grid.rows['branches'])}")


def _split_phase(grow: Growth) -> None:
    """A centre-tap transformer on one phase or between two, and a service drop."""
    up = grow.pick(grow.nodes(kv=4.16))
    own = grow.phases[up]
    between = len(own) > 1 and (not grow.grounded[up] or grow.rng.random() < 0.5)
    if not between and not grow.grounded[up]:
        return
    high = "".join(grow.rng.permutation(list(own))[: 2 if between else 1])
    name, drop = grow.add("12", 0.208), grow.add("12", 0.208)
    unit = {
        "connection": "centre-tap", "from_phase": high, "to_phase": "12", "hv_kv": 4.16 if between else 2.4,
        "lv_kv": 0.12, "s_mva": 0.025, "r_h_pct": 0.6, "r_1_pct": 1.2, "r_2_pct": 1.2, "x_pct": 2.04,
        "x_h2_pct": 2.04, "x_12_pct": 1.36, "antifloat_ppm": 1.0,
    }  # fmt: skip
    grow.grid.bank(
        up, name, [unit], phase="".join(sorted(high)), branch_id=f"e{len(grow.grid.rows['branches'])}"
    )
    z = np.zeros((3, 3), dtype=complex)
    z[:2, :2] = [[0.01 + 0.006j, 0.002 + 0.002j], [0.002 + 0.002j, 0.01 + 0.006j]]
    grow.grid.line(
        name, drop, "12", matrix=z, charging=np.zeros((3, 3)), branch_id=f"e{len(grow.grid.rows['branches'])}"
    )


def _open_end(grow: Growth) -> None:
    """A cable that is open at its far end, to a node that nothing else feeds."""
    up = grow.pick(grow.nodes())
    name = grow.add(grow.phases[up], grow.kv[up], grow.grounded[up])
    grow.wire(up, name, grow.phases[up], scale=4.0, open_ends="to")


def _half_dead(grow: Growth) -> None:
    """A bank or regulator with one or two dead terminals, and a node behind it."""
    up = grow.pick(grow.nodes(phases="ABC", kv=4.16, grounded=True))
    dead = LETTERS[int(grow.rng.integers(3))]
    meet = grow.add("ABC", 4.16)
    grow.wire(up, meet, LETTERS.replace(dead, ""))
    connection, lag = BANKS[1:5][int(grow.rng.integers(4))]
    name = grow.add("ABC", 0.48, connection.endswith("wye"))
    _unit(grow, meet, name, connection, lag)
    grow.phases[meet] = ""  # nothing else there
    grow.no_legs.add(name)


def _phase_pair(grow: Growth) -> None:
    """Two line-to-line units side by side as branches of their own: an open delta, with or without taps."""
    up = grow.pick(grow.nodes(phases="ABC", kv=4.16))
    name = grow.add("ABC", 4.16, False)
    for pair in ("AB", "CB"):
        unit = {
            "connection": "delta-delta", "from_phase": pair, "to_phase": pair, "s_mva": 0.4,
            "antifloat_ppm": 1.0,
        }  # fmt: skip
        if grow.rng.random() < 0.5:
            unit["taps"] = int(grow.rng.integers(-8, 9))
        grow.grid.bank(
            up, name, [unit], phase="".join(sorted(pair)), branch_id=f"e{len(grow.grid.rows['branches'])}"
        )


def _delta_dead(grow: Growth) -> None:
    """A delta load one of whose terminals is dead."""
    up = grow.pick(grow.nodes(phases="ABC", kv=4.16, grounded=True))
    dead = LETTERS[int(grow.rng.integers(3))]
    name = grow.add("ABC", 4.16)
    grow.wire(up, name, LETTERS.replace(dead, ""))
    p = float(grow.rng.uniform(0.005, 0.02))
    grow.grid.load(name, "ABC", p, 0.4 * p, connection="delta", z=float(grow.rng.integers(2)))
    grow.phases[name] = ""


def _load(grow: Growth, name: str) -> None:
    own = grow.phases[name]
    if not own:
        return
    size = float(grow.rng.uniform(0.002, 0.01)) * (0.3 if grow.kv[name] < 1 else 1.0)
    model = MODELS[int(grow.rng.integers(len(MODELS)))]
    if name in grow.no_legs:  # some of its voltages are next to nothing
        model = MODELS[1]
    if grow.grounded[name]:
        for phase in own:
            if grow.rng.random() < 0.6:
                grow.grid.load(name, phase, size, 0.4 * size, **model)  # type: ignore[arg-type]
    if name in grow.no_legs and not grow.grounded[name]:
        grow.grid.load(name, own[:2], size, 0.3 * size, connection="delta", z=1.0)
    elif name not in grow.no_legs and len(own) > 1 and (not grow.grounded[name] or grow.rng.random() < 0.5):
        grow.grid.load(name, own, size, 0.3 * size, connection="delta", **model)  # type: ignore[arg-type]
