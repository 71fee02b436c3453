"""Assets in memory: tables that were checked, and the questions that programs ask them."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import CaseError, Problem
from ..model.edit import nearest
from ..schema import in_one
from ..storage.folder import write_table
from .cells import FORMATS
from .checks import rows_by_key
from .curves import CostCurve
from .schema import ASSET_TABLES, empty

if TYPE_CHECKING:
    from ..profiles.calendar import Calendar
    from ..profiles.store import Profiles
    from .limits import AssetLimits

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

#: What assets may be grouped by, and the column that says so.
GROUPS: Mapping[str, str] = {
    "asset": "asset_id",
    "bus": "bus_id",
    "aggregator": "agg_id",
    "owner": "owner_id",
    "type": "asset_type",
    "phase": "phase",
}
#: Groups of all assets together.
WHOLE = ("feeder", "substation")


@dataclass(frozen=True, eq=False)
class AssetSet:
    """Assets of one feeder with their cost curves, charging sessions and series of limits.

    Power is positive when injected. Made by `read_assets`, `load_assets`, `synthetic_assets`, or from tables
    that have the schemas of `ASSET_TABLES`; those are taken as they are, and only files are checked.

    Attributes:
        assets: one row for each asset, `ASSETS`.
        cost_curves: points of curves, `COST_CURVES`.
        sessions: cars of charging stations, `SESSIONS`.
        telemetry: limits step by step, `TELEMETRY`.
        name: of the feeder or file, for messages.

    Raises:
        CaseError: a table of another schema.
    """

    assets: pa.Table
    cost_curves: pa.Table = field(default_factory=functools.partial(empty, "cost_curves"))
    sessions: pa.Table = field(default_factory=functools.partial(empty, "sessions"))
    telemetry: pa.Table = field(default_factory=functools.partial(empty, "telemetry"))
    name: str = ""

    def __post_init__(self) -> None:
        for name, one in self.tables().items():
            wanted = ASSET_TABLES[name]
            if not one.schema.equals(wanted):
                expected = f"the columns {', '.join(f'{f.name} {f.type}' for f in wanted)}"
                raise CaseError([Problem(name, None, "", "another schema", expected)])

    def tables(self) -> dict[str, pa.Table]:
        """All tables by name."""
        return {
            "der_assets": self.assets, "cost_curves": self.cost_curves, "sessions": self.sessions,
            "telemetry": self.telemetry,
        }  # fmt: skip

    def equals(self, other: AssetSet) -> bool:
        """Whether all tables hold the same rows in the same order."""
        theirs = other.tables()
        return all(one.equals(theirs[name]) for name, one in self.tables().items())

    # -- columns -----------------------------------------------------------------------------------------

    @property
    def n_assets(self) -> int:
        """Number of assets."""
        return int(self.assets.num_rows)

    @property
    def ids(self) -> tuple[str, ...]:
        """(n_assets,) ids."""
        return self.texts("asset_id")

    @functools.cached_property
    def index(self) -> Mapping[str, int]:
        """Row of each asset."""
        return {one: row for row, one in enumerate(self.ids)}

    def numbers(self, column: str) -> Floats:
        """(n_assets,) read-only; NaN where nothing is given."""
        found = self._column(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
        found = np.array(found, dtype=np.float64)
        found.flags.writeable = False
        return found

    def texts(self, column: str) -> tuple[str, ...]:
        """(n_assets,) "" where nothing is given."""
        return tuple(one or "" for one in self._column(column).to_pylist())

    def _column(self, column: str) -> pa.Array:
        if column not in self.assets.column_names:
            raise ValueError(f"assets have no column {column!r}; {nearest(column, self.assets.column_names)}")
        return in_one(self.assets.column(column))

    # -- parts -------------------------------------------------------------------------------------------

    def groups(self, by: str) -> dict[str, Rows]:
        """Rows of each group, in the order of first rows; assets that belong to none are left out.

        Args:
            by: "asset", "bus", "aggregator", "owner", "type" or "phase"; "feeder" and "substation" are one
                group of all, by that name.

        Raises:
            ValueError: another word.
        """
        if by in WHOLE:
            return {by: np.arange(self.n_assets)} if self.n_assets else {}
        if by not in GROUPS:
            known = (*GROUPS, *WHOLE)
            raise ValueError(f"assets are not grouped by {by!r}; expected one of {', '.join(known)}")
        return rows_by_key(self.texts(GROUPS[by]))

    def select(self, assets: Iterable[str] | Sequence[int] | Rows) -> AssetSet:
        """Some of the assets, in that order, with what belongs to them.

        Args:
            assets: ids, or rows.

        Raises:
            ValueError: an unknown id; the nearest is suggested.
        """
        rows = [self.row(one) if isinstance(one, str) else int(one) for one in assets]
        kept = self.assets.take(pa.array(rows, type=pa.int64()))
        parts = {
            name: _where(one, key, kept.column(key))
            for name, one, key in (
                ("cost_curves", self.cost_curves, "cost_curve_id"),
                ("sessions", self.sessions, "asset_id"),
                ("telemetry", self.telemetry, "telemetry_id"),
            )
        }
        return replace(self, assets=kept, **parts)

    def row(self, asset_id: str) -> int:
        """Row of an asset. ValueError for an unknown one; the nearest is suggested."""
        if asset_id not in self.index:
            raise ValueError(f"no asset {asset_id!r}; {nearest(asset_id, self.index)}")
        return self.index[asset_id]

    def cost_curve(self, asset_id: str) -> CostCurve | None:
        """What power of an asset costs; None where it costs nothing. ValueError for an unknown asset."""
        curve = self.texts("cost_curve_id")[self.row(asset_id)]
        return self._curves[curve] if curve else None

    @functools.cached_property
    def _curves(self) -> dict[str, CostCurve]:
        power = self.cost_curves.column("p_mw").to_numpy()
        cost = self.cost_curves.column("cost_usd_per_h").to_numpy()
        keys = self.cost_curves.column("cost_curve_id").to_pylist()
        return {key: CostCurve(power[rows], cost[rows]) for key, rows in rows_by_key(keys).items()}

    def limits(self, calendar: Calendar, profiles: Profiles | None = None) -> AssetLimits:
        """Limits of power of every asset in every step of a calendar; see `limits.asset_limits`."""
        from .limits import asset_limits

        return asset_limits(self, calendar, profiles)

    # -- files -------------------------------------------------------------------------------------------

    def save(self, folder: str | Path, suffix: str = ".parquet") -> Path:
        """Write the tables into a folder, those without rows left out; equal sets make equal bytes.

        Args:
            folder: made where there is none; tables of an earlier set are replaced or removed.
            suffix: ".parquet" or ".csv".

        Raises:
            ValueError: another suffix.
            OSError: writing failed.
        """
        if suffix not in FORMATS:
            raise ValueError(f"suffix must be one of {', '.join(FORMATS)}, got {suffix!r}")
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        for name, one in self.tables().items():
            path = place / f"{name}{suffix}"
            if one.num_rows or name == "der_assets":
                temporary = place / f".{name}.{os.getpid()}.tmp"
                _write(one, temporary, suffix)
                temporary.replace(path)
            else:
                path.unlink(missing_ok=True)
            (place / f"{name}{next(other for other in FORMATS if other != suffix)}").unlink(missing_ok=True)
        return place


def _write(data: pa.Table, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        write_table(data, path)
        return
    import pyarrow.csv as pacsv  # here: nothing else needs it

    options = pacsv.WriteOptions(quoting_style="needed")
    pacsv.write_csv(data, path, options)


def _where(data: pa.Table, key: str, kept: pa.ChunkedArray) -> pa.Table:
    return data.filter(pc.is_in(data.column(key), value_set=in_one(kept).drop_null()))
