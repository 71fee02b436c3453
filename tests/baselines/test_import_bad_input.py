"""Files that are not what they say they are: one clear line, nothing written, the process alive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from distgrid import cases
from distgrid.baselines.cli.case import app
from distgrid.cases import CaseError

CASES = Path(__file__).parents[1] / "reference" / "imports"
NET, RAW, MATPOWER = (
    CASES / name for name in ("pandapower/ring.json", "psse/feeder_v33.raw", "matpower/two_buses.m")
)


def utf16(raw: bytes) -> bytes:
    """Another encoding, with its mark."""
    return raw.decode("latin-1").encode("utf-16")


def half(raw: bytes) -> bytes:
    """Cut in the middle."""
    return raw[: len(raw) // 2]


def foreign(raw: bytes) -> bytes:
    """A byte that UTF-8 has not, in the first text."""
    return raw.replace(b'"', b'"\xe9', 1)


def empty(_raw: bytes) -> bytes:
    """Nothing."""
    return b""


@pytest.mark.parametrize(
    ("source", "damage", "message"),
    [
        (NET, utf16, "a UTF-8 file"),
        (NET, foreign, "a UTF-8 file"),
        (NET, half, "a whole JSON file"),
        (NET, empty, "a whole JSON file"),
        (RAW, utf16, "expected"),
        (RAW, half, "cut off"),
        (RAW, empty, "expected"),
        (MATPOWER, utf16, "expected"),
        (MATPOWER, half, "expected"),
        (CASES / "cim" / "powsybl_cgmes2.zip", half, "a whole zip archive"),
        (CASES / "cim" / "powsybl_cgmes2.zip", empty, "a whole XML document"),
    ],
)
def test_damage_is_one_line(
    source: Path, damage: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    """Row 116: wrong encodings, halves and empty files of every format, by the library and the command."""
    path = tmp_path / f"bad{source.suffix}"
    path.write_bytes(damage(source.read_bytes()))
    with pytest.raises(CaseError, match=message) as caught:
        cases.load(path)
    assert len(str(caught.value).splitlines()) == 1
    done = CliRunner().invoke(app, ["import", str(path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
