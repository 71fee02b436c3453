"""Balanced feeders as CIM models (CGMES 2.4.15): a zip archive of the profiles EQ, SSH, TP and SV.

An id that is an mRID (`_` and a UUID) is kept; another one becomes the UUID of its table and name, the same
in every export, and stays as the object's name.
"""

from __future__ import annotations

import re
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from ..errors import CaseError, Problem
from ..model.feeder import Feeder
from .pandapower_net import regulated_taps

_MRID = re.compile(r"_?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_SPACE = uuid.UUID("6f3c0c6e-6d5f-5a3e-9d5b-7a6b8f0e4d21")
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:cim="http://iec.ch/TC57/2013/CIM-schema-cim16#" '
    'xmlns:md="http://iec.ch/TC57/61970-552/ModelDescription/1#">\n'
)
_PROFILES = {
    "EQ": "http://entsoe.eu/CIM/EquipmentCore/3/1",
    "SSH": "http://entsoe.eu/CIM/SteadyStateHypothesis/1/1",
    "TP": "http://entsoe.eu/CIM/Topology/4/1",
    "SV": "http://entsoe.eu/CIM/StateVariables/4/1",
}
Values = Mapping[str, object]


def mrid(table: str, name: str) -> str:
    """The mRID of a row: its id where that is one, else one made of table and id."""
    return name if _MRID.fullmatch(name) else f"_{uuid.uuid5(_SPACE, f'{table}/{name}')}"


def write_cim(feeder: Feeder, file: Path, v: np.ndarray) -> None:
    """Write the profiles of a balanced feeder and of its solution.

    Args:
        feeder: the feeder.
        file: the `.zip`.
        v: (n_nodes,) complex voltages in pu of the solution; NaN where dead.

    Raises:
        CaseError: a per-phase feeder, a generator that holds a voltage, or a shift that no clock has.
    """
    if feeder.phases != "balanced":
        raise CaseError([Problem(feeder.name, None, "phases", feeder.phases, "a balanced feeder")])
    documents = _Documents(feeder, v)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for profile, lines in documents.lines.items():
            about = quoteattr(f"urn:uuid:{mrid('model', profile + feeder.name)[1:]}")
            head = f"  <md:FullModel rdf:about={about}>\n"
            head += f"    <md:Model.profile>{_PROFILES[profile]}</md:Model.profile>\n  </md:FullModel>\n"
            member = zipfile.ZipInfo(f"{file.stem}_{profile}.xml", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, _HEAD + head + "".join(lines) + "</rdf:RDF>\n")


class _Documents:
    """The objects of each profile."""

    def __init__(self, feeder: Feeder, v: np.ndarray) -> None:
        self.feeder, self.column = feeder, feeder.column
        self.lines: dict[str, list[str]] = {name: [] for name in _PROFILES}
        ids, kv = (self.column("nodes", name).tolist() for name in ("node_id", "base_kv"))
        self.node = {name: mrid("nodes", name) for name in ids}
        self.kv = dict(zip(ids, kv, strict=True))
        self._containers()
        self._nodes(v)
        self._branches()
        self._loads()
        self._shunts()
        self._sources()

    def put(
        self, profile: str, kind: str, name: str, values: Values, links: Mapping[str, str], *,
        new: bool = True, title: str = "",
    ) -> None:  # fmt: skip
        """One object, or what a profile adds to one."""
        where = f"rdf:ID={quoteattr(name)}" if new else f"rdf:about={quoteattr('#' + name)}"
        lines = [f"  <cim:{kind} {where}>\n"]
        if title:
            lines.append(f"    <cim:IdentifiedObject.name>{escape(title)}</cim:IdentifiedObject.name>\n")
        lines += [f"    <cim:{key}>{escape(_text(value))}</cim:{key}>\n" for key, value in values.items()]
        lines += [
            f"    <cim:{key} rdf:resource={quoteattr('#' + target)}/>\n" for key, target in links.items()
        ]
        self.lines[profile].append("".join([*lines, f"  </cim:{kind}>\n"]))

    def _containers(self) -> None:
        region, part, station = (mrid(kind, self.feeder.name) for kind in ("region", "part", "station"))
        self.put("EQ", "GeographicalRegion", region, {}, {}, title=self.feeder.name)
        links = {"SubGeographicalRegion.Region": region}
        self.put("EQ", "SubGeographicalRegion", part, {}, links, title=self.feeder.name)
        self.put("EQ", "Substation", station, {}, {"Substation.Region": part}, title=self.feeder.name)
        self.level: dict[float, tuple[str, str]] = {}
        for kv in sorted(set(self.kv.values()), reverse=True):
            base, level = mrid("base", f"{kv!r}"), mrid("level", f"{self.feeder.name}/{kv!r}")
            self.level[kv] = base, level
            self.put("EQ", "BaseVoltage", base, {"BaseVoltage.nominalVoltage": kv}, {}, title=f"{kv:g} kV")
            links = {"VoltageLevel.BaseVoltage": base, "VoltageLevel.Substation": station}
            self.put("EQ", "VoltageLevel", level, {}, links, title=f"{kv:g} kV")

    def _nodes(self, v: np.ndarray) -> None:
        for (name, node), solved in zip(self.node.items(), v, strict=True):
            base, level = self.level[self.kv[name]]
            links = {"TopologicalNode.BaseVoltage": base, "TopologicalNode.ConnectivityNodeContainer": level}
            self.put("TP", "TopologicalNode", node, {}, links, title=name)
            if not np.isnan(solved):
                values = {
                    "SvVoltage.v": abs(solved) * self.kv[name],
                    "SvVoltage.angle": np.angle(solved, deg=True),
                }
                links = {"SvVoltage.TopologicalNode": node}
                self.put("SV", "SvVoltage", mrid("sv", f"{name}/sv"), values, links)

    def terminal(self, equipment: str, node: str, number: int = 1, *, connected: bool = True) -> str:
        """A terminal of equipment at a node of the feeder; its mRID."""
        name = mrid("terminal", f"{equipment}/{number}")
        values = {"ACDCTerminal.sequenceNumber": number}
        self.put("EQ", "Terminal", name, values, {"Terminal.ConductingEquipment": equipment})
        self.put("SSH", "Terminal", name, {"ACDCTerminal.connected": connected}, {}, new=False)
        self.put("TP", "Terminal", name, {}, {"Terminal.TopologicalNode": self.node[node]}, new=False)
        return name

    def _branches(self) -> None:
        names = ("branch_id", "from_node", "to_node", "r", "x", "b", "shift_deg", "status", "length_km")
        names += ("type", "thermal_limit_mva")
        normal = dict(
            zip(self.column("switches", "branch_id"), self.column("switches", "normally_closed"), strict=True)
        )
        columns = [self.column("branches", name) for name in names]
        for tap, *row in zip(regulated_taps(self.feeder), *columns, strict=True):
            name, start, end, r, x, b, shift, on, km, kind, limit = row
            one, z, title = mrid("branches", name), complex(r, x), "" if _MRID.fullmatch(name) else name
            _, level = self.level[self.kv[start]]
            inside = {"Equipment.EquipmentContainer": level}
            if z == 0 and b == 0 and tap == 1 and shift == 0 and self.kv[start] == self.kv[end]:
                values = {"Switch.normalOpen": not normal.get(name, on)}
                self.put("EQ", "LoadBreakSwitch", one, values, inside, title=title)
                self.put("SSH", "LoadBreakSwitch", one, {"Switch.open": not on}, {}, new=False)
                ends = [self.terminal(one, node, k) for k, node in enumerate((start, end), 1)]
                continue
            ends = [self.terminal(one, node, k, connected=bool(on)) for k, node in enumerate((start, end), 1)]
            if tap == 1 and shift == 0 and kind != "transformer" and self.kv[start] == self.kv[end]:
                ohm = self.kv[start] ** 2 / self.feeder.base_mva
                values = {
                    "ACLineSegment.r": r * ohm,
                    "ACLineSegment.x": x * ohm,
                    "ACLineSegment.bch": b / ohm,
                }
                values |= {} if np.isnan(km) else {"Conductor.length": km}
                links = {**inside, "ConductingEquipment.BaseVoltage": self.level[self.kv[start]][0]}
                self.put("EQ", "ACLineSegment", one, values, links, title=title)
                continue
            self.put("EQ", "PowerTransformer", one, {}, inside, title=title)
            self._ends(one, name, ends, (start, end), (tap, shift, z, b, limit))

    def _ends(
        self, one: str, name: str, terminals: list[str], nodes: tuple[str, str],
        model: tuple[float, float, complex, float, float],
    ) -> None:  # fmt: skip
        tap, shift, z, b, limit = model
        if shift % 30:
            raise CaseError(
                [Problem("branches", None, f"{name}: shift_deg", f"{shift:g}", "a multiple of 30")]
            )
        for k, (node, terminal) in enumerate(zip(nodes, terminals, strict=True)):
            end, ohm = mrid("end", f"{one}/{k}"), self.kv[node] ** 2 / self.feeder.base_mva
            values: dict[str, object] = {
                "TransformerEnd.endNumber": k + 1,
                "PowerTransformerEnd.ratedU": self.kv[node],
            }
            own = (
                (z.real * ohm, z.imag * ohm) if k == 1 else (0.0, 0.0)
            )  # the impedance lies behind the ratio
            values |= dict(zip(("PowerTransformerEnd.r", "PowerTransformerEnd.x"), own, strict=True))
            values |= {"PowerTransformerEnd.b": 0.5 * b / ohm, "PowerTransformerEnd.g": 0.0,
                       "PowerTransformerEnd.phaseAngleClock": int(shift // 30) % 12 if k else 0}  # fmt: skip
            values |= {} if np.isnan(limit) else {"PowerTransformerEnd.ratedS": limit}
            links = {"TransformerEnd.Terminal": terminal, "PowerTransformerEnd.PowerTransformer": one,
                     "TransformerEnd.BaseVoltage": self.level[self.kv[node]][0]}  # fmt: skip
            self.put("EQ", "PowerTransformerEnd", end, values, links)
            if k == 0 and tap != 1:
                changer = mrid("tap", f"{one}/tap")
                steps = {"TapChanger.neutralStep": 0, "TapChanger.lowStep": -1, "TapChanger.highStep": 1,
                         "TapChanger.neutralU": self.kv[node], "TapChanger.normalStep": 1,
                         "RatioTapChanger.stepVoltageIncrement": 100.0 * (tap - 1.0)}  # fmt: skip
                self.put("EQ", "RatioTapChanger", changer, steps, {"RatioTapChanger.TransformerEnd": end})
                self.put("SSH", "RatioTapChanger", changer, {"TapChanger.step": 1}, {}, new=False)

    def _loads(self) -> None:
        names = ("load_id", "node_id", "p_mw", "q_mvar", "p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac")
        names += ("cvr_p", "cvr_q", "v_set_pu")
        columns = [self.column("loads", name) for name in names]
        for row, (name, node, p, q, z_p, i_p, z_q, i_q, n_p, n_q, held) in enumerate(
            zip(*columns, strict=True)
        ):
            if not np.isnan(held):
                expected = "null, as machines are written with constant power"
                raise CaseError([Problem("loads", row, "v_set_pu", f"{held:g}", expected)])
            one, title = mrid("loads", name), "" if _MRID.fullmatch(name) else name
            links = {"Equipment.EquipmentContainer": self.level[self.kv[node]][1]}
            how: dict[str, object] = {"exponentModel": False}
            for part, z, i in (("p", z_p, i_p), ("q", z_q, i_q)):
                how |= {f"{part}ConstantImpedance": z, f"{part}ConstantCurrent": i}
                how[f"{part}ConstantPower"] = 1.0 - z - i
            if not np.isnan(n_p):
                how = {"exponentModel": True, "pVoltageExponent": n_p, "qVoltageExponent": n_q}
            if any((z_p, i_p, z_q, i_q)) or not np.isnan(n_p):
                links["EnergyConsumer.LoadResponse"] = response = mrid("response", f"{name}/response")
                values = {f"LoadResponseCharacteristic.{key}": value for key, value in how.items()}
                self.put("EQ", "LoadResponseCharacteristic", response, values, {})
            self.put("EQ", "EnergyConsumer", one, {}, links, title=title)
            self.put(
                "SSH", "EnergyConsumer", one, {"EnergyConsumer.p": p, "EnergyConsumer.q": q}, {}, new=False
            )
            self.terminal(one, node)

    def _shunts(self) -> None:
        names = ("node_id", "shunt_g_mw", "shunt_b_mvar")
        for node, g, b in zip(*(self.column("nodes", name) for name in names), strict=True):
            if g or b:
                self._bank(mrid("shunt", f"{node}/shunt"), node, g, b, 1.0, f"shunt of {node}")
        names = ("cap_id", "node_id", "q_mvar", "status")
        for name, node, q, on in zip(*(self.column("capacitors", n) for n in names), strict=True):
            title = "" if _MRID.fullmatch(name) else name
            self._bank(mrid("capacitors", name), node, 0.0, q, float(on), title)

    def _bank(self, one: str, node: str, g_mw: float, b_mvar: float, sections: float, title: str) -> None:
        square = self.kv[node] ** 2
        values = {"LinearShuntCompensator.bPerSection": b_mvar / square,
                  "LinearShuntCompensator.gPerSection": g_mw / square,
                  "ShuntCompensator.nomU": self.kv[node], "ShuntCompensator.maximumSections": 1,
                  "ShuntCompensator.normalSections": 1}  # fmt: skip
        links = {"Equipment.EquipmentContainer": self.level[self.kv[node]][1]}
        self.put("EQ", "LinearShuntCompensator", one, values, links, title=title)
        self.put("SSH", "LinearShuntCompensator", one, {"ShuntCompensator.sections": sections}, {}, new=False)
        self.terminal(one, node)

    def _sources(self) -> None:
        names = ("source_id", "node_id", "v_pu", "v_deg")
        for name, node, v, angle in zip(*(self.column("sources", n) for n in names), strict=True):
            one, title = mrid("sources", name), "" if _MRID.fullmatch(name) else name
            links = {"Equipment.EquipmentContainer": self.level[self.kv[node]][1]}
            values = {"EnergySource.nominalVoltage": self.kv[node],
                      "EnergySource.voltageMagnitude": v * self.kv[node],
                      "EnergySource.voltageAngle": np.deg2rad(angle)}  # fmt: skip
            self.put("EQ", "EnergySource", one, values, links, title=title)
            self.terminal(one, node)


def _text(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    return repr(float(value)) if isinstance(value, (float, np.floating)) else str(value)
