"""Import a file of any format as a folder of tables: read, verify, filter, rename, write."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from .... import cases
from ....cases import CaseError, Feeder, Problem
from ....cases.assets import read_assets
from ....cases.assets.schema import ASSETS
from ....cases.importers.reading import Profiles, Reading, ReadOptions
from ....cases.importers.registry import read_file
from ....cases.importers.several import only
from ...errors import RunError
from .series_verification import verify_series
from .verification import NOT_VERIFIED, ImportDifferenceError, Verification, nominal_voltages, verify

VERIFIED = "verified"  # key of Feeder.metadata


@dataclass(frozen=True, eq=False)
class Imported:
    """One import.

    Attributes:
        feeder: what was imported; `metadata["verified"]` says by what it was verified, or "not verified".
        reading: what the importer handed over.
        verification: the comparison; None where none was made.
    """

    feeder: Feeder
    reading: Reading
    verification: Verification | None

    @property
    def assets(self) -> list[Mapping[str, Any]]:
        """Rows of `der_assets` for the resources of this feeder."""
        return [row for row in self.reading.assets if row["bus_id"] in self.feeder.node_index]

    def save(self, folder: str | Path) -> Path:
        """Write the tables, and `der_assets.parquet` where the source has resources; see `Feeder.save`."""
        rows = self.assets
        table = pa.Table.from_pylist([{name: row.get(name) for name in ASSETS.names} for row in rows], ASSETS)
        return self.feeder.save(folder, {"der_assets": table} if rows else {})

    @property
    def verdict(self) -> str:
        """Whether it was verified, in one line."""
        return self.feeder.metadata[VERIFIED]

    def series(self) -> Profiles:
        """The time series of the source.

        Raises:
            RunError: it has none.
            CaseError: what is wrong with them.
        """
        if self.reading.profiles is None:
            raise RunError(
                f"feeder {self.feeder.name!r}: the source has no time series; leave out --profiles"
            )
        return self.reading.profiles()

    def series_verdict(self, series: Profiles, approximate: bool = False) -> str:
        """Whether the series are those of the source, in one line; empty where it has no engine for them.

        Args:
            series: what `series` gave.
            approximate: see `verify_series`.

        Raises:
            RunError: they are not, or cannot be solved.
        """
        if not series.solved:
            return ""
        return verify_series(self.reading.feeder, series, self.reading.approximated, approximate=approximate)

    @property
    def resources(self) -> str:
        """How many assets of which type there are, in one line; empty where there are none."""
        kinds = Counter(str(row["asset_type"]) for row in self.assets)
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        return f"assets in der_assets.parquet: {listed}" if kinds else ""

    @property
    def counts(self) -> str:
        """What was converted and what was left out, by class."""
        parts = []
        for title, counts in (("converted", self.reading.converted), ("left out", self.reading.ignored)):
            if counts:
                parts.append(f"{title}: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
        return "; ".join(parts)


def import_feeder(
    path: str | Path,
    options: ReadOptions | None = None,
    *,
    verified: bool = True,
    feeder_only: str | None = None,
    feeder_id: str | None = None,
) -> Imported:
    """Read a file, or a folder of tables, and verify it.

    Args:
        path: a file of any format that has an importer, or a folder of tables.
        options: how to read it.
        verified: whether to compare it with the engine of its format.
        feeder_only: of several feeders, the id of the one to keep, see `distgrid.cases.importers.several`.
        feeder_id: new name and id of the feeder and all of its rows.

    Raises:
        CaseError: it cannot be read.
        RunError: it cannot be verified, or is not what the engine solves.
    """
    reading = _reading(Path(path), options or ReadOptions())
    result = _verified(reading) if verified and reading.engine is not None else None
    feeder = reading.feeder
    if feeder_only:
        feeder = only(feeder, feeder_only, nominal_voltages(feeder))
    if feeder_id:
        feeder = dataclasses.replace(feeder.with_feeder_id(feeder_id), name=feeder_id)
    told = str(result) if result is not None else feeder.metadata.get(VERIFIED, NOT_VERIFIED)
    metadata = dict(feeder.metadata) | {VERIFIED: told}
    return Imported(dataclasses.replace(feeder, metadata=metadata), reading, result)


def _verified(reading: Reading) -> Verification:
    try:
        return verify(reading)
    except RunError as error:
        raise type(error)(f"{error}; --no-verify (verified=False) imports it as it is") from error


def import_with_series(
    path: str | Path,
    options: ReadOptions | None = None,
    *,
    verified: bool = True,
    feeder_only: str | None = None,
    feeder_id: str | None = None,
) -> tuple[Imported, Profiles, str]:
    """A feeder with the time series of its source, and whether those are verified, in one line.

    Where one series for each point cannot hold what stands there, loads have nodes of their own.

    Args:
        path: see `import_feeder`, as the other arguments.
        options: `approximate`: a point may follow one mixture of loads all the same, and the line says what
            that costs.
        verified: whether to compare.
        feeder_only: see `import_feeder`.
        feeder_id: see `import_feeder`.

    Raises:
        CaseError: it cannot be read.
        RunError: it has no series, cannot be verified, or is not what the engine solves.
    """
    options = options or ReadOptions()
    done = import_feeder(path, options, verified=verified, feeder_only=feeder_only, feeder_id=feeder_id)
    series = done.series()
    try:
        return done, series, done.series_verdict(series, options.approximate) if verified else ""
    except ImportDifferenceError:
        if not series.mixed or options.apart:
            raise
    apart = dataclasses.replace(options, apart=True)
    return import_with_series(path, apart, feeder_only=feeder_only, feeder_id=feeder_id)


def _reading(path: Path, options: ReadOptions) -> Reading:
    if path.is_dir():
        feeder, own = cases.load(path), path / "der_assets.parquet"
        rows = read_assets(own, feeder=feeder).assets.to_pylist() if own.is_file() else []
        return Reading(feeder, assets=tuple(rows))
    if not path.is_file():
        expected = "a file or folder that exists"
        raise CaseError([Problem(str(path), None, "", "", expected)])
    return read_file(path, options)
