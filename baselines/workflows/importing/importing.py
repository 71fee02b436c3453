"""Import a file of any format as a folder of tables: read, verify, filter, rename, write."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from .... import cases
from ....cases import CaseError, Feeder, Problem
from ....cases.importers.reading import Profiles, Reading, ReadOptions
from ....cases.importers.registry import read_file
from ....cases.importers.several import only
from ...errors import RunError
from .series_verification import verify_series
from .verification import NOT_VERIFIED, Verification, nominal_voltages, verify

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
    result = verify(reading) if verified and reading.engine is not None else None
    feeder = reading.feeder
    if feeder_only:
        feeder = only(feeder, feeder_only, nominal_voltages(feeder))
    if feeder_id:
        feeder = dataclasses.replace(feeder.with_feeder_id(feeder_id), name=feeder_id)
    told = str(result) if result is not None else feeder.metadata.get(VERIFIED, NOT_VERIFIED)
    metadata = dict(feeder.metadata) | {VERIFIED: told}
    return Imported(dataclasses.replace(feeder, metadata=metadata), reading, result)


def _reading(path: Path, options: ReadOptions) -> Reading:
    if path.is_dir():
        return Reading(cases.load(path))
    if not path.is_file():
        expected = "a file or folder that exists"
        raise CaseError([Problem(str(path), None, "", "", expected)])
    return read_file(path, options)
