"""The ladder of observation: how much of grid, loads, sun and prices each level shows, for any task.

Only at the level "oracle" are the loads and the sun of the interval that is decided known. At all others
they are those of the interval before, and forecasts; what is known of the decided interval are the clock,
prices as a day-ahead market tells them, announced signals, and what stands at the devices themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..blocks import (
    ArrayBlock,
    Block,
    BlockContext,
    LoadForecast,
    OutdoorForecast,
    PartBlock,
    PriceAhead,
    PVForecast,
    WindForecast,
    chosen_blocks,
)
from ..blocks.places import located
from ..resources.base import check_choice
from .meters import Meter

ORACLE, GLOBAL, GRAPH, MEASURED, LOCAL_FORECAST, LOCAL = (
    "oracle", "global", "graph", "measured", "local+forecast", "local",
)  # fmt: skip
#: Values of the option ``observation``.
LEVELS = (ORACLE, GLOBAL, GRAPH, MEASURED, LOCAL_FORECAST, LOCAL)
#: Steps for which loads and sun are forecast, the decided interval being the first.
FORECAST_STEPS = 4

_EVERYWHERE = ("clock", "v_pu", "load_p_mw", "load_q_mvar", "p_slack_mw", "q_slack_mvar")
_AT_BUSES = ("v_pu", "load_p_mw", "load_q_mvar")
_AT_HEAD = ("p_slack_mw", "q_slack_mvar")
_METER = "meter_"  # before the names of blocks that smart meters show
_EVERY = 2  # of so many buses with loads one has a smart meter

# Typical errors, as three standard deviations: smart meters (class 0.5 to 1) 1 % of power and 0.5 % of
# voltage, instruments of substations 3 % of P and Q. An inverter reads its voltage as a smart meter does.
_VOLTAGE_STD, _POWER_STD, _HEAD_STD = 0.005 / 3.0, 0.01 / 3.0, 0.03 / 3.0
_LATE_STEPS, _LOST = 1, 0.02  # a smart meter reports a step late, and one reading in fifty is lost


def checked_level(level: object) -> str | None:
    """A level, or None, which is "oracle". TypeError for what is no text, ValueError for another one."""
    if level is None:
        return None
    if not isinstance(level, str):
        raise TypeError(f"observation must be one of {', '.join(LEVELS)} or None, got {level!r}")
    check_choice("EnvOptions", "observation", level, LEVELS)
    return level


@dataclass(frozen=True)
class Observed:
    """What an environment shows of itself.

    Attributes:
        level: out of `LEVELS`.
        meters: the user's own; the level "measured" has some for what they do not name.
        normalise: whether everything is scaled to [-1, 1] by its bounds.
    """

    level: str = ORACLE
    meters: tuple[Meter, ...] = ()
    normalise: bool = False

    @property
    def exact(self) -> bool:
        """Whether loads and sun of the interval that is decided are known."""
        return self.level == ORACLE

    def of_task(self, listed: Sequence[Block | str], context: BlockContext) -> tuple[Block, ...]:
        """The blocks that the level makes of those that a task lists, before those of the fleet."""
        chosen = chosen_blocks(listed)
        if self.level == ORACLE:
            return chosen
        ahead = _ahead(chosen, context)
        if self.level in (GLOBAL, GRAPH):
            return _together(chosen, chosen_blocks(_EVERYWHERE), ahead)
        public = _together(chosen_blocks(["clock"]), (block for block in chosen if block.public))
        here = _parts(context, {unit.bus for unit in context.fleet.units()})
        if self.level == LOCAL:
            return _together((block for block in public if not block.looks_ahead), here)
        if self.level == LOCAL_FORECAST:
            return _together(public, here, ahead)
        smart = _parts(context, _metered_buses(context), _METER)
        own = (block for block in here if block.of.name == "v_pu")
        return _together(public, own, smart, chosen_blocks(_AT_HEAD), ahead)

    def all_meters(self, blocks: Sequence[Block]) -> list[Meter]:
        """The user's, and the level's own of what these do not name."""
        taken = {meter.block for meter in self.meters}
        own = [meter for block in blocks if (meter := _instrument(block)) is not None]
        return [
            *self.meters,
            *(meter for meter in own if meter.block not in taken and self.level == MEASURED),
        ]


#: What a grid shows that is told nothing else: what its task lists.
PLAIN = Observed()


def _together(*parts: Iterable[Block]) -> tuple[Block, ...]:
    """All of them, the first of each name."""
    found: dict[str, Block] = {}
    for part in parts:
        for block in part:
            found.setdefault(block.name, block)
    return tuple(found.values())


def _ahead(chosen: Sequence[Block], context: BlockContext) -> list[Block]:
    """Forecasts of the whole feeder; prices ahead where the task looks at prices."""
    found: list[Block] = [LoadForecast(FORECAST_STEPS)]
    if any(unit.kind == "pv" for unit in context.fleet.units()):
        found.append(PVForecast(FORECAST_STEPS))
    if any(unit.kind == "wind" for unit in context.fleet.units()):
        found.append(WindForecast(FORECAST_STEPS))
    if any(unit.kind == "heat_pump" for unit in context.fleet.units()):
        found.append(OutdoorForecast(FORECAST_STEPS))
    if any(block.name == "price_usd_mwh" for block in chosen):
        found.append(PriceAhead())
    return found


def _parts(context: BlockContext, buses: Iterable[str], prefix: str = "") -> list[PartBlock]:
    """Voltages and loads at these buses, those that have any."""
    at, found = set(buses), []
    for block in chosen_blocks(_AT_BUSES):
        if isinstance(block, ArrayBlock) and block.per is not None:
            names = context.names[block.per]
            here = tuple(n for n in names if located(block.per, n, context.feeder).bus in at)
            found += [PartBlock(of=block, chosen=here, prefix=prefix)] if here else []
    return found


def _metered_buses(context: BlockContext) -> list[str]:
    """Every other bus that has a load, in the order of the feeder."""
    points = zip(context.names["load"], context.s_load_mva.tolist(), strict=True)
    loaded = [located("load", name, context.feeder).bus for name, most in points if most > 0.0]
    return [bus for bus in dict.fromkeys(loaded) if bus is not None][::_EVERY]


def _instrument(block: Block) -> Meter | None:
    """What the level "measured" reads a block with; None: it is known."""
    if block.name == "v_pu":
        return Meter(block.name, relative_std=_VOLTAGE_STD)
    if block.name in _AT_HEAD:
        return Meter(block.name, relative_std=_HEAD_STD)
    if block.name.startswith(_METER):
        std = _VOLTAGE_STD if block.name == f"{_METER}v_pu" else _POWER_STD
        return Meter(block.name, relative_std=std, delay_steps=_LATE_STEPS, dropout=_LOST)
    return None
