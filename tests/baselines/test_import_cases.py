"""Every file under `tests/reference/imports`: the importer of its format, and voltages that others have."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.baselines.workflows.importing.verification import nominal_voltages
from distgrid.cases.importers.registry import IMPORTERS

CASES = Path(__file__).parents[1] / "reference" / "imports"
SUFFIXES = {suffix for one in IMPORTERS for suffix in one.suffixes}
FILES = sorted(path for path in CASES.glob("*/*") if path.suffix in SUFFIXES)


@pytest.mark.quick(3)
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_is_the_network_that_others_solve(path: Path) -> None:
    """Rows 1, 3, 5 and 115: by the engine of its format, and by the voltages that lie beside it."""
    done = import_feeder(path)
    assert done.verification is not None
    assert done.verification.largest_pu < 1e-7
    assert done.verification.compared > 0
    beside = path.with_suffix(".csv")
    if not beside.is_file():
        assert path.parent.name == "psse", "without a table: written by hand, see ORIGIN.md"
        return
    feeder = done.feeder
    v = nominal_voltages(feeder)
    with beside.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 2
    for row in rows:
        at = feeder.node_index[row["node"]]
        ours = v[at, "ABC".index(row["phase"])] if row["phase"] else v[at]
        theirs = float(row["v_pu"]) * np.exp(1j * np.deg2rad(float(row["v_deg"])))
        assert abs(ours - theirs) < 1e-7, row


def test_every_format_has_cases() -> None:
    """A folder for each importer; scripts of OpenDSS, whose engine is needed to read them, lie elsewhere."""
    folders = {path.parent.name for path in FILES}
    assert folders == {one.name for one in IMPORTERS} - {"opendss"}
