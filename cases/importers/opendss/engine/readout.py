"""What the engine compiled: buses, voltages, every element with its properties and primitive admittances."""

from __future__ import annotations

from typing import Any

import numpy as np

# Properties that are read as texts, by class; of the other classes only how many there are.
_AT_ONE_BUS = ("kv", "conn")
_INVERTER = ("kva", "kvarmax", "kvarmaxabs")
_PROTECTION = ("switchedobj", "monitoredobj")
PROPERTIES: dict[str, tuple[str, ...]] = {
    "vsource": ("basekv", "pu", "angle", "frequency"),
    "line": ("switch", "length", "units"),
    "reactor": (),
    "transformer": ("xscarray", "%noloadloss", "%imag", "ppm_antifloat", "leadlag", "bank"),
    "autotrans": (
        *("kvs", "kvas", "taps", "conns", "%noloadloss", "%imag", "ppm_antifloat", "leadlag", "bank"),
    ),
    "regcontrol": (
        *("transformer", "winding", "tapwinding", "bus", "ptphase", "vreg", "band", "ptratio", "ctprim"),
        *("r", "x", "delay", "tapdelay", "maxtapchange", "vlimit", "reversible", "revneutral", "revvreg"),
        *("revband", "revr", "revx", "revdelay", "revthreshold"),
    ),
    "capcontrol": (
        *("element", "terminal", "capacitor", "type", "ptratio", "ctratio", "onsetting", "offsetting"),
        *("delay", "voltoverride", "vmax", "vmin", "delayoff", "deadtime", "ctphase", "ptphase"),
    ),
    "capacitor": (*_AT_ONE_BUS, "kvar", "states"),
    "load": (
        *(*_AT_ONE_BUS, "kw", "kvar", "model", "vminpu", "vmaxpu", "vlowpu", "cvrwatts", "cvrvars"),
        *("zipv", "status"),
        "growth",
    ),
    "generator": (*_AT_ONE_BUS, "kw", "kva", "model", "minkvar", "maxkvar"),
    "pvsystem": (*_AT_ONE_BUS, *_INVERTER, "pmpp", "%pmpp"),
    "storage": (
        *_AT_ONE_BUS,
        *_INVERTER,
        "kwrated",
        "kwhrated",
        "%stored",
        "%reserve",
        "%effcharge",
        "%effdischarge",
    ),
    "swtcontrol": ("switchedobj",),
    "fuse": _PROTECTION,
    "recloser": _PROTECTION,
    "relay": _PROTECTION,
    "isource": (),
    "indmach012": (),
    "windgen": (),
    "vccs": (),
    "fault": (),
}
LISTED = frozenset(  # classes of what a snapshot can hold; without electrical meaning, or read otherwise
    "linecode loadshape tshape priceshape growthshape xycurve tcc_curve spectrum wiredata cndata tsdata "
    "linegeometry linespacing xfmrcode energymeter monitor sensor invcontrol expcontrol storagecontroller "
    "gendispatcher dynamicexp".split()
)
OF_EVERY_CIRCUIT = {"growthshape": 1, "loadshape": 1, "spectrum": 7, "tcc_curve": 10}
CONTROLS = frozenset("regcontrol capcontrol swtcontrol fuse recloser relay".split())
# What gives or takes power by its own rules: its currents at the solution are read.
INJECTING = frozenset("generator pvsystem storage vsource isource indmach012 windgen vccs".split())
WITHOUT_ADMITTANCE = CONTROLS | (INJECTING - {"vsource"}) | {"load"}


class Blob:
    """Numbers beside the JSON: each array is a pair of its first place and its length."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.length = 0

    def put(self, values: Any) -> list[int]:
        """Keep an array of float64; where it lies."""
        array = np.asarray(values, dtype=np.float64).ravel()
        self.parts.append(array)
        at = [self.length, array.size]
        self.length += array.size
        return at

    def bytes(self) -> bytes:
        """All of them."""
        return np.concatenate([np.zeros(0), *self.parts]).tobytes()


def read_circuit(dss: Any, blob: Blob) -> dict[str, Any]:
    """The active circuit. Its switches are closed and its disabled lines enabled on the way."""
    circuit = dss.ActiveCircuit
    found = _frame(dss, circuit, blob)
    counts: dict[str, int] = {}
    elements: list[dict[str, Any]] = []
    for name in dss.Classes:
        kind = str(name).lower()
        circuit.SetActiveClass(name)
        active = circuit.ActiveClass
        count = int(active.NumElements)
        if not count:
            continue
        names = [str(one) for one in active.AllNames]
        if kind in PROPERTIES:
            elements += [_state(circuit, kind, one) for one in names]
        elif kind not in LISTED:
            counts[kind] = count
        else:
            found["listed"][kind] = count - OF_EVERY_CIRCUIT.get(kind, 0)
    found["unknown"] = counts
    for element in elements:
        if element["kind"] in INJECTING and element["enabled"]:
            element["currents"] = _currents(circuit, element, blob)
    _close_all(dss, circuit, elements)
    for element in elements:
        _structure(circuit, element, blob)
    found["elements"] = elements
    return found


def _frame(dss: Any, circuit: Any, blob: Blob) -> dict[str, Any]:
    buses: dict[str, Any] = {}
    for k in range(circuit.NumBuses):
        bus = circuit.Buses(k)
        place = (bus.x, bus.y) if bus.Coorddefined else None
        buses[str(bus.Name).lower()] = {"kv": float(bus.kVBase) * 3**0.5, "at": place}
    settings = circuit.Settings
    return {
        "name": str(circuit.Name).lower(),
        "hz": float(circuit.Solution.Frequency),
        "loadmult": float(circuit.Solution.LoadMult),
        "growth": _growth(dss, int(circuit.Solution.Year)),
        "bases": [float(kv) for kv in settings.VoltageBases if kv > 0],
        "v_min": float(settings.NormVminpu),
        "v_max": float(settings.NormVmaxpu),
        "buses": buses,
        "node_names": [str(name).lower() for name in circuit.AllNodeNames],
        "volts": blob.put(circuit.AllBusVolts),
        "listed": {},
    }


def _growth(dss: Any, year: int) -> float:
    """What the loads have grown to in the year that the script sets; 1 in the year 0."""
    if not year:
        return 1.0
    dss.Text.Command = "get %growth"
    return float((1.0 + float(dss.Text.Result) / 100.0) ** (year - 1))


def _state(circuit: Any, kind: str, name: str) -> dict[str, Any]:
    """Name, properties and which terminals are open, before anything is changed."""
    circuit.SetActiveElement(f"{kind}.{name}")
    active = circuit.ActiveCktElement
    properties = {p: str(active.Properties(p).Val) for p in PROPERTIES[kind]}
    enabled = bool(active.Enabled)
    found = {"kind": kind, "name": name.lower(), "enabled": enabled, "properties": properties}
    if kind == "transformer":
        found["windings"] = _windings(circuit, name)
    if kind not in CONTROLS and enabled:
        terminals, phases = int(active.NumTerminals), int(active.NumConductors)
        found["open"] = [
            [bool(active.IsOpen(terminal + 1, phase + 1)) for phase in range(phases)]
            if active.IsOpen(terminal + 1, 0)
            else []
            for terminal in range(terminals)
        ]
    return found


def _windings(circuit: Any, name: str) -> list[dict[str, float]]:
    table = circuit.Transformers
    table.Name = name
    found = []
    for winding in range(int(table.NumWindings)):
        table.Wdg = winding + 1
        found.append({
            "min": float(table.MinTap), "max": float(table.MaxTap), "steps": float(table.NumTaps),
            "tap": float(table.Tap), "rneut": float(table.Rneut), "xneut": float(table.Xneut),
            "kv": float(table.kV), "kva": float(table.kVA), "r": float(table.R), "delta": bool(table.IsDelta),
        })  # fmt: skip
    return found


def _currents(circuit: Any, element: dict[str, Any], blob: Blob) -> list[int]:
    """A into the element at each of its conductors."""
    circuit.SetActiveElement(f"{element['kind']}.{element['name']}")
    return blob.put(circuit.ActiveCktElement.Currents)


def _close_all(dss: Any, circuit: Any, elements: list[dict[str, Any]]) -> None:
    """Admittances are read as those of whole elements: what is open was noted before."""
    for element in elements:
        dead = element["kind"] in ("line", "reactor") and not element["enabled"]
        if not dead and not any(any(side) for side in element.get("open", ())):
            continue
        circuit.SetActiveElement(f"{element['kind']}.{element['name']}")
        active = circuit.ActiveCktElement
        if dead:
            active.Enabled = True
        for terminal in range(int(active.NumTerminals)):
            active.Close(terminal + 1, 0)
    dss.Text.Command = "makebuslist"
    dss.YMatrix.BuildYMatrixD(1, 0)


def _structure(circuit: Any, element: dict[str, Any], blob: Blob) -> None:
    """Where it stands and its primitive admittance."""
    kind = element["kind"]
    circuit.SetActiveElement(f"{kind}.{element['name']}")
    active = circuit.ActiveCktElement
    element["phases"] = int(active.NumPhases)
    element["buses"] = [str(bus).lower() for bus in active.BusNames]
    if not bool(active.Enabled) or kind in CONTROLS:
        return
    element["nodes"] = [int(node) for node in active.NodeOrder]
    element["amps"] = float(active.NormalAmps)
    if kind not in WITHOUT_ADMITTANCE:
        element["y"] = blob.put(active.Yprim)
