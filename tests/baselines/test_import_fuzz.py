"""Mutated files of every format: an error or a feeder, the process alive, nothing half-written."""

from __future__ import annotations

import random
from pathlib import Path

import pandapower as pp
import pytest

from distgrid import cases
from distgrid.baselines.errors import RunError
from distgrid.baselines.workflows.importing.exporting import export_feeder
from distgrid.baselines.workflows.importing.importing import import_feeder
from distgrid.cases import CaseError

from .pandapower_nets import SMALL

RAW = Path(__file__).parents[1] / "reference" / "imports" / "psse"
TRIALS = 25


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """The bytes with a few of them changed, cut out, doubled or set to what numbers break on."""
    data = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        length = rng.randint(1, 40)
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + 1] = rng.choice(
                    [b"-", b"1e999", b"nan", b"\\u0000", b"0", b",", b"'", b"<", b"{"]
                )
            case _:
                data = data[: max(at, 8)]
    return bytes(data)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One good file of each format."""
    folder = tmp_path_factory.mktemp("fuzz")
    pp.to_json(SMALL["ring"](), str(folder / "net.json"))
    export_feeder(cases.from_pandapower(SMALL["ring"](), "ring"), "cim", folder / "net.zip")
    return {
        "pandapower": folder / "net.json",
        "cim": folder / "net.zip",
        "psse": RAW / "feeder_v33.raw",
    }


@pytest.mark.parametrize("kind", ["pandapower", "cim", "psse"])
def test_mutated_files(kind: str, sources: dict[str, Path], tmp_path: Path) -> None:
    """Every one ends in a feeder or in CaseError; a folder is written whole or not at all."""
    source, rng, out = sources[kind], random.Random(kind), tmp_path / "out"
    path = tmp_path / f"bad{source.suffix}"
    refused = 0
    for _ in range(TRIALS):
        path.write_bytes(mutated(source.read_bytes(), rng))
        try:
            import_feeder(path, verified=False).feeder.save(out)
        except (CaseError, RunError):
            refused += 1
        assert {one.name for one in tmp_path.iterdir()} <= {path.name, "out"}
    assert refused > TRIALS // 5
