"""Asset sets by name, the operating points that they are made for, and asset sets of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CaseError, Problem
from ..library import load
from ..model.edit import nearest
from .asset_set import AssetSet
from .reading import read_assets

if TYPE_CHECKING:
    from ..model.feeder import Feeder

SETS = Path(__file__).parents[1] / "data" / "assets"
#: Seed of the shipped sets.
SEED = 0


@dataclass(frozen=True)
class OperatingPoint:
    """How a feeder is run, so that with its assets at rest all limits are kept on every test day.

    The three-phase cases are those of one nominal load, with the taps that it needs; with these taps a night
    of little load is above the limit. With neutral taps, fewer banks and less load a whole year is within.

    Attributes:
        load_scale: of the nominal loads, as the option of environments.
        v_source_pu: voltage of the substation; None: as in the case.
        neutral_taps: whether regulators are in their neutral position.
        banks_off: capacitor banks that are off.
    """

    load_scale: float = 1.0
    v_source_pu: float | None = None
    neutral_taps: bool = False
    banks_off: tuple[str, ...] = field(default=())

    @property
    def as_the_case(self) -> bool:
        """Whether taps and banks are those of the case."""
        return not (self.neutral_taps or self.banks_off)

    def feeder(self, case: str | Feeder) -> Feeder:
        """The feeder with its taps and banks at this point."""
        found = load(case) if isinstance(case, str) else case
        for regulator in found.column("regulators", "reg_id") if self.neutral_taps else ():
            found = found.with_regulator(str(regulator), 0)
        for bank in self.banks_off:
            found = found.with_capacitor(bank, on=False)
        return found


#: By feeder; a test plays every test day at them.
OPERATING_POINTS: Mapping[str, OperatingPoint] = {
    "case33bw": OperatingPoint(),
    "case118zh": OperatingPoint(load_scale=0.8, v_source_pu=1.035),
    "ieee13": OperatingPoint(load_scale=0.6, v_source_pu=1.015, neutral_taps=True),
    "ieee34": OperatingPoint(
        load_scale=0.3, v_source_pu=1.04, neutral_taps=True, banks_off=("c844", "c848")
    ),
    "ieee37": OperatingPoint(load_scale=0.6, v_source_pu=1.03, neutral_taps=True),
    "ieee123": OperatingPoint(load_scale=0.8, v_source_pu=1.01, neutral_taps=True),
    "european_lv": OperatingPoint(),
}  # fmt: skip


def asset_set_names() -> list[str]:
    """Feeders with a shipped asset set."""
    return list(OPERATING_POINTS)


def load_assets(
    name_or_path: str | Path, *, feeder: Feeder | None = None, zone: str | None = None
) -> AssetSet:
    """The shipped synthetic assets of a feeder, by its name, or those of a file or folder.

    Args:
        name_or_path: one of `asset_set_names`, or what `read_assets` takes.
        feeder: where the assets of a file are, so that buses and phases are checked.
        zone: of time stamps of a file; see `read_assets`.

    Raises:
        CaseError: an unknown name (with the nearest known ones), or a file that is not good.
    """
    text = str(name_or_path)
    if text in OPERATING_POINTS:
        return _shipped(text)
    path = Path(name_or_path)
    if path.exists():
        return read_assets(path, feeder=feeder, zone=zone)
    expected = (
        f"a file or folder of assets, or a feeder with a shipped set; {nearest(text, OPERATING_POINTS)}"
    )
    raise CaseError([Problem("assets", None, "name", repr(text), expected)])


@cache
def _shipped(name: str) -> AssetSet:
    return read_assets(SETS / name, feeder=load(name))
