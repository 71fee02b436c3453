"""Distributed energy resources as tables: assets, their costs, sessions and series, apart from the feeder."""

from __future__ import annotations

from .asset_set import AssetSet
from .curves import CostCurve
from .json_schema import asset_tables_schema
from .limits import AssetLimits
from .reading import check_assets, read_assets
from .schema import ALIASES, ASSET_TABLES, ASSET_TYPES, LOADS, PRICES, profile_site
from .series import LoadTable, read_loads, read_prices
from .shipped import OPERATING_POINTS, OperatingPoint, asset_set_names, load_assets
from .synthetic import synthetic_assets

__all__ = [
    "ALIASES",
    "ASSET_TABLES",
    "ASSET_TYPES",
    "LOADS",
    "OPERATING_POINTS",
    "PRICES",
    "AssetLimits",
    "AssetSet",
    "CostCurve",
    "LoadTable",
    "OperatingPoint",
    "asset_set_names",
    "asset_tables_schema",
    "check_assets",
    "load_assets",
    "profile_site",
    "read_assets",
    "read_loads",
    "read_prices",
    "synthetic_assets",
]
