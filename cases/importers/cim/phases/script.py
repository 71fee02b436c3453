"""A model with single phases as one OpenDSS script, which that program's importer reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ....errors import CaseError, Problem
from ..documents import Item
from ..models import Model
from .branches import HERTZ, lines, switches
from .injections import banks, loads
from .models import MODELS, PHASES, REFUSED, BaseVoltage, EnergySource
from .network import Names, Network
from .places import Places
from .resources import resources
from .windings import Transformers

_LEAST_V = 200.0  # a highest nominal voltage below is one in kV
_LEAST_OHM = 1e-9


@dataclass(frozen=True)
class Script:
    """What stands for a model.

    Attributes:
        text: the script.
        names: what it calls the objects of the model.
        counts: objects that are in it, by class.
        left_out: objects of other classes.
    """

    text: str
    names: Names
    counts: dict[str, int]
    left_out: dict[str, int]


def has_phases(items: dict[str, Item]) -> bool:
    """Whether a model is one of single phases."""
    return any(item.kind in PHASES for item in items.values())


def script_of(items: dict[str, Item], file: str) -> Script:
    """The script of a model with single phases.

    Raises:
        CaseError: an object lacks or breaks a field, refers to what is absent, or cannot be written.
    """
    model = Model(items, file, MODELS, REFUSED)
    net = Network(model)
    transformers = Transformers(net)
    body = [*transformers.words(), *lines(net), *switches(net)]
    places = Places(net, transformers.secondary_v)
    body += [*loads(net, places), *banks(net), *resources(net, places)]
    bases = {one.nominal_v / 1e3 for one in model.of(BaseVoltage)}
    if max(bases, default=0.0) < _LEAST_V / 1e3:
        expected = f"volts, watts and metres: a highest nominal voltage of at least {_LEAST_V:g} V"
        value = f"{1e3 * max(bases):g}" if bases else ""
        raise CaseError([Problem(file, None, "BaseVoltage.nominalVoltage", value, expected)])
    bases |= {one * math.sqrt(3.0) / 1e3 for one in transformers.secondary_v}
    text = [
        "clear", f"set defaultbasefrequency={HERTZ:g}", *_sources(net), *body,
        f"set voltagebases=[{' '.join(repr(one) for one in sorted(bases))}]", "calcvoltagebases",
        "set controlmode=off tolerance=1e-9 maxiterations=100", "solve",
    ]  # fmt: skip
    return Script("\n".join(text) + "\n", net.names, *model.counts())


def _sources(net: Network) -> Iterator[str]:
    """The circuit with its first source, and all others."""
    found = list(net.model.of(EnergySource))
    connected = [one for one in found if net.terminals(one, 1)[0].connected]
    if not connected:
        raise CaseError([Problem(net.model.file, None, "", "", "an EnergySource that is connected")])
    for k, source in enumerate(connected):
        (terminal,) = net.terminals(source, 1)
        z1, z0 = (
            f"[{r!r}, {x!r}]" if abs(complex(r, x)) > _LEAST_OHM else f"[0, {_LEAST_OHM!r}]"
            for r, x in ((source.r_ohm, source.x_ohm), (source.r0_ohm, source.x0_ohm))
        )
        yield (
            f"new {'vsource' if k else 'circuit'}.{net.names.of(source.mrid)} "
            f"bus1={net.bus(terminal, (1, 2, 3))} phases=3 basekv={source.nominal_v / 1e3!r} "
            f"pu={source.v / source.nominal_v!r} angle={math.degrees(source.angle_rad)!r} z1={z1} z0={z0}"
        )
