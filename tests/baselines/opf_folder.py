"""A folder with input files, and `distgrid dist opf` called in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from distgrid.cli import main

HEADER = "asset_id,bus_id,p_min_mw,p_max_mw,q_min_mvar,q_max_mvar"
WIDE = ["--voltage-band", "[0.9,1.1]", "--no-thermal"]
TWO = f"{HEADER}\na,18,0,1,-0.5,0.5\nb,33,0,1.5,-0.5,0.5\n"
METRIC = {"loss": "p_loss_mw", "cost": "cost_usd_per_h", "vvo": "v_deviation_pu2", "host": "p_dispatched_mw"}


class Folder:
    """A folder with input files, and the command in it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self._capsys, self._runs = path, capsys, 0
        self.out = path

    def file(self, name: str, text: str) -> str:
        """Its path, as an option takes it."""
        (self.path / name).write_text(text)
        return str(self.path / name)

    def opf(self, *arguments: str, feeder: str = "case33bw") -> tuple[int, str, str]:
        """Exit code, stdout, stderr of `distgrid dist opf` into a folder of its own, ``out``."""
        self._runs += 1
        self.out = self.path / f"out{self._runs}"
        with pytest.raises(SystemExit) as left:
            main(["dist", "opf", feeder, *arguments, "--out", str(self.out)])
        told = self._capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    def rows(self, name: str = "dist_opf") -> list[dict[str, Any]]:
        """Of a table of the last call."""
        found: list[dict[str, Any]] = pq.read_table(self.out / f"{name}.parquet").to_pylist()
        return found

    def summary(self) -> dict[str, Any]:
        """The one row."""
        (row,) = self.rows("dist_opf_summary")
        return row
