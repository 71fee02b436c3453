"""Observation blocks: the named parts of an observation, which tasks list.

A shipped block is a class in a module of this folder and an entry of that module's tuple; one of your own is
a class anywhere, an instance of which a task lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .base import ArrayBlock, Block, SeriesBlock, block_of
from .charging import CheapestPlan, Urgency
from .fleet import FleetBlock, fleet_blocks
from .forecasts import ForecastBlock, LoadForecast, OutdoorForecast, PriceForecast, PVForecast, WindForecast
from .grid import GRID
from .ledger import EnergyBalance, EpisodeLeft, LedgerBlock, PeakImport, Setpoint, SettlementPrices
from .part import PartBlock
from .randomised import RandomisedFactors
from .time import TIME, PriceAhead
from .view import BlockContext, BlockView, ForecastWindow

__all__ = [
    "GRID_BLOCKS",
    "ArrayBlock",
    "Block",
    "BlockContext",
    "BlockView",
    "CheapestPlan",
    "EnergyBalance",
    "EpisodeLeft",
    "FleetBlock",
    "ForecastBlock",
    "ForecastWindow",
    "LedgerBlock",
    "LoadForecast",
    "OutdoorForecast",
    "PVForecast",
    "PartBlock",
    "PeakImport",
    "PriceAhead",
    "PriceForecast",
    "RandomisedFactors",
    "SeriesBlock",
    "Setpoint",
    "SettlementPrices",
    "Urgency",
    "WindForecast",
    "block_of",
    "chosen_blocks",
    "details_read",
    "fleet_blocks",
]

_SHIPPED: dict[str, Block] = {block.name: block for block in (*TIME, *GRID)}
#: Names of the shipped blocks that a task may list; the fleet's own blocks always follow them.
GRID_BLOCKS = tuple(_SHIPPED)


def chosen_blocks(listed: object) -> tuple[Block, ...]:
    """The blocks that a task lists by name, as blocks of its own, or as JSON has these.

    TypeError for what is no block, ValueError for an unknown name.
    """
    if isinstance(listed, str):
        raise TypeError(f"blocks must be a list of names, got one text: write blocks=({listed!r},)")
    if not isinstance(listed, Iterable) or isinstance(listed, Mapping):
        raise TypeError(f"blocks must be a list of names and blocks, got {type(listed).__name__}")
    return tuple(_chosen(one) for one in listed)


def _chosen(one: object) -> Block:
    if isinstance(one, Block):
        return one
    if isinstance(one, Mapping):
        return block_of(one)
    if isinstance(one, type) and issubclass(one, Block):
        raise TypeError(f"blocks names the class {one.__name__}: expected a block, so write {one.__name__}()")
    if not isinstance(one, str):
        raise TypeError(f"blocks must be a list of names and blocks, one of them is {type(one).__name__}")
    if one not in _SHIPPED:
        raise ValueError(f"unknown observation block {one!r}; choose from {', '.join(GRID_BLOCKS)}")
    return _SHIPPED[one]


def details_read(blocks: Iterable[Block]) -> tuple[str, ...]:
    """Results of a power flow that these blocks read and that are not kept otherwise, each once."""
    return tuple(dict.fromkeys(detail for block in blocks for detail in block.reads))
