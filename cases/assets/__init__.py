"""Distributed energy resources as tables: assets, their costs, sessions and series, apart from the feeder."""

from __future__ import annotations

from .asset_set import AssetSet
from .curves import CostCurve
from .limits import AssetLimits
from .reading import check_assets, read_assets
from .schema import ALIASES, ASSET_TABLES, ASSET_TYPES, LOADS, PRICES

__all__ = [
    "ALIASES",
    "ASSET_TABLES",
    "ASSET_TYPES",
    "LOADS",
    "PRICES",
    "AssetLimits",
    "AssetSet",
    "CostCurve",
    "check_assets",
    "read_assets",
]
