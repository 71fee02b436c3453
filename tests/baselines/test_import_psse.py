"""PSS/E RAW files of versions 30 to 35, and what is wrong with damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.cases import CaseError

RAW = Path(__file__).parents[1] / "reference" / "imports" / "psse"


@pytest.mark.quick(1)
@pytest.mark.parametrize("version", range(30, 36))
def test_each_version_verifies(version: int) -> None:
    """Row 3: every bus as pandapower has it, with the units of impedance and ratio that the file chose."""
    done = import_feeder(RAW / f"feeder_v{version}.raw")
    assert done.verification is not None
    assert done.verification.largest_pu < 1e-9
    assert done.verification.compared == 5  # the isolated bus is left out
    assert done.reading.converted["transformer"] == 1


def test_a_transformer_by_hand() -> None:
    """Row 5: ratio 1.02/0.99, 11 % on 31.5 MVA at the second ratio, the shift of its angle."""
    feeder = cases.import_psse(RAW / "feeder_v30.raw")
    row = feeder.branch_index["1-2.1"]
    found = {name: feeder.column("branches", name)[row] for name in ("r", "x", "tap", "shift_deg")}
    own = 100.0 / 31.5 * (112.0 / 110.0) ** 2 * 0.99**2
    expected = {"r": 0.005 * own, "x": 0.11 * own, "tap": 1.02 / 0.99, "shift_deg": 30.0}
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_load_has_its_three_parts() -> None:
    """Row 6: constant power, current and admittance of one record; the sign of YQ is that of an injection."""
    feeder = cases.import_psse(RAW / "feeder_v33.raw")
    row = feeder.column("loads", "load_id").tolist().index("load3.1")
    columns = ("p_mw", "q_mvar", "p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac")
    found = [feeder.column("loads", name)[row] for name in columns]
    np.testing.assert_allclose(found, [2.8, 0.8, 0.3 / 2.8, 0.5 / 2.8, 0.2 / 0.8, 0.1 / 0.8])
    assert physics.solve(physics.compile(feeder, keep_loops=True)).converged


@pytest.mark.parametrize("keep", [0.05, 0.2, 0.45, 0.6, 0.8])
def test_a_file_that_is_cut_is_refused(keep: float, tmp_path: Path) -> None:
    """In the middle of a record, a section or a transformer: one line, with the place."""
    text = (RAW / "feeder_v33.raw").read_text()
    needed = text.index("/ END OF TRANSFORMER")
    path = tmp_path / "cut.raw"
    path.write_text(text[: int(keep * needed)])
    with pytest.raises(CaseError, match=r"cut\.raw:?.*expected") as caught:
        cases.load(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",33,0,1,50.0", ",29,0,1,50.0", "REV = 29: expected 30 to 35"),
        ("'GRID        ',110,3", "'GRID        ',110,2", "at least one swing bus"),
        ("2,-3,'1 '", "2,-9,'1 '", "branch J = 9: expected the number of a bus"),
        ("3,4,'1 ',0.4", "3,4,'1 ',abc", "branch R = 'abc': expected a finite number"),
        ("1,2,0,'1 '", "1,2,3,'1 '", "transformers of three windings"),
        ("'MV          ',20", "'MV          ',0", "BASKV = 0: expected kV > 0"),
    ],
)
def test_mistakes_are_told_with_their_place(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = (RAW / "feeder_v33.raw").read_text()
    assert old in text
    path = tmp_path / "bad.raw"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CaseError, match=message):
        cases.load(path)
