"""Reading a feeder takes memory in proportion to what is read, whatever the file claims."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distgrid import cases
from distgrid.cases import CaseError, Feeder
from distgrid.cases.profiles.tables import read_table
from distgrid.cases.storage.folder import FILES
from distgrid.cases.storage.page_headers import PageError, largest_claim
from distgrid.cases.storage.parquet_reader import BYTES_PER_FILE_BYTE, SMALL_TABLE_BYTES, read_parquet

from .memory import Peak, peak_of

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "matpower"
FILES_M = sorted(REFERENCE.glob("*.m"), key=lambda path: path.stat().st_size)
FIXED = 2**16  # bytes that do not grow with the file; all of 20 kB and more stay below ten times without it


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """What is imported on first use does not count."""
    cases.load(FILES_M[0])


def write_case(path: Path, n: int, shape: str, kv: str = "12") -> Path:
    """A MATPOWER file of a tree of `n` buses, in short rows: about 100 bytes a bus."""
    rng = np.random.default_rng(n)
    load = rng.random((n, 2)) * [1 / n, 0.3 / n]
    size = rng.random((n, 2)) / n
    parent = {
        "tree": [int(rng.integers(max(1, k - 20), k)) for k in range(2, n + 1)],
        "chain": list(range(1, n)),
        "star": [1] * (n - 1),
    }[shape]
    bus = [
        f"{k + 1} {1 if k else 3} {p:.7f} {q:.7f} 0 0 1 1 0 {kv} 1 1.1 0.9;" for k, (p, q) in enumerate(load)
    ]
    branch = [
        f"{start} {k + 2} {r:.8f} {x:.8f} 0 0 0 0 0 0 1 -360 360;"
        for k, (start, (r, x)) in enumerate(zip(parent, size[1:], strict=True))
    ]
    parts = [
        "function mpc = made\nmpc.version = '2';\nmpc.baseMVA = 10;\nmpc.bus = [", *bus,
        "];\nmpc.gen = [1 0 0 10 -10 1 100 1 10 0];\nmpc.branch = [", *branch, "];\n",
    ]  # fmt: skip
    path.write_text("\n".join(parts))
    return path


def table_bytes(feeder: Feeder) -> int:
    return sum(getattr(feeder, name).nbytes for name in cases.TABLES)


@pytest.mark.quick(1)
@pytest.mark.parametrize("path", FILES_M, ids=lambda path: path.stem)
def test_every_case_file_is_read_in_ten_times_its_size(path: Path) -> None:
    """Capability 2: Arrow's tables, which are the result, included."""
    size = path.stat().st_size
    peak = peak_of(lambda: cases.load(path))
    assert peak.python < 10 * size + (FIXED if size < 20_000 else 0)
    assert peak.total < 10 * size + (FIXED if size < 20_000 else 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "kv"), [("tree", "12"), ("chain", "12"), ("star", "12"), ("tree", "12/sqrt(3)")]
)
def test_a_large_file_is_read_in_ten_times_its_size(tmp_path: Path, shape: str, kv: str) -> None:
    """Capability 2: up to 20,000 buses and 2 MB; arithmetic in a column is computed row by row."""
    path = write_case(tmp_path / "made.m", 20_000 if (shape, kv) == ("tree", "12") else 5_000, shape, kv)
    peak = peak_of(lambda: cases.load(path))
    assert peak.total < 10 * path.stat().st_size


@pytest.mark.slow
def test_memory_grows_in_proportion(tmp_path: Path) -> None:
    """Four times the buses take four times the memory."""
    paths = [write_case(tmp_path / f"made{n}.m", n, "tree") for n in (2_000, 8_000)]
    small, large = (peak_of(lambda path=path: cases.load(path)) for path in paths)  # type: ignore[misc]
    growth = paths[1].stat().st_size / paths[0].stat().st_size
    assert large.total < 1.1 * growth * small.total


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "text",
    [
        "mpc.areas = [" + "1 " * 30_000 + "];\n",
        "mpc.areas = [" + "1;" * 30_000 + "];\n",
        "%\U0001f600" + "x" * 50_000,
        "%{\n%}\n" * 10_000,
        "".join(f"a{k}=1;" for k in range(20_000)),
        "x = " + "9" * 200_000,
        "mpc.bus_name = {" + "'a' " * 50_000 + "};",
    ],
    ids=["one-row", "one-column", "emoji", "comments", "variables", "number", "names"],
)
def test_text_that_is_no_feeder_takes_no_more(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.m"
    path.write_text(text)

    def read() -> None:
        with pytest.raises(CaseError):
            cases.load(path)

    assert peak_of(read).total < 10 * path.stat().st_size


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["case533mt_hi", "tree", "star"])
def test_a_folder_is_read_in_ten_times_its_tables(tmp_path: Path, name: str) -> None:
    """Of the uncompressed tables, as constant columns compress to nothing."""
    made = not name.startswith("case")
    source = write_case(tmp_path / "made.m", 5_000, name) if made else REFERENCE / f"{name}.m"
    feeder = cases.load(source)
    folder = feeder.save(tmp_path / "folder")
    cases.load(folder)
    assert peak_of(lambda: cases.load(folder)).total < 3 * table_bytes(feeder)


# -- files that claim more than they are ---------------------------------------------------------------


def rows_of_nothing(path: Path) -> None:
    """80 MB of zeros in 40 kB."""
    pq.write_table(pa.table({"node_id": np.zeros(10_000_000)}), path, compression="zstd")


def one_long_text(path: Path) -> None:
    """A page of 100 MB in 10 kB."""
    pq.write_table(
        pa.table({"node_id": ["a" * 100_000_000]}), path, compression="zstd", write_statistics=False
    )


def a_text_again_and_again(path: Path) -> None:
    """100 kB of text in each of 100,000 rows: 10 GB in a few kB."""
    codes = pa.DictionaryArray.from_arrays(np.zeros(100_000, dtype=np.int32), ["a" * 100_000])
    pq.write_table(pa.table({"node_id": codes}), path, compression="zstd", write_statistics=False)


def nested_lists(path: Path) -> None:
    pq.write_table(pa.table({"node_id": [[[1.0] * 5]] * 100}), path)


HOSTILE = [rows_of_nothing, one_long_text, a_text_again_and_again, nested_lists]


@pytest.mark.quick(1)
@pytest.mark.parametrize("make", HOSTILE)
def test_a_small_file_that_claims_a_large_table_is_refused(tmp_path: Path, make: object) -> None:
    """By both readers of tables, and before it is decoded."""
    folder = cases.load(REFERENCE / "case4_dist.m").save(tmp_path / "folder")
    path = folder / "nodes.parquet"
    make(path)  # type: ignore[operator]
    assert path.stat().st_size < 100_000

    def read() -> None:
        with pytest.raises(CaseError, match=r"nodes\.parquet.*(it claims|is of type)"):
            cases.load(folder)
        with pytest.raises(CaseError, match=r"nodes\.parquet.*(it claims|is of type)"):
            read_table(path, ("node_id",))

    read()
    assert peak_of(read).total < 2**21


def test_the_most_that_a_small_file_can_make_us_take(tmp_path: Path) -> None:
    """Just within the limit: 64 MiB of table, and twice that while it is read."""
    path = tmp_path / "zeros.parquet"
    pq.write_table(pa.table({"x": np.zeros(SMALL_TABLE_BYTES // 8 - 1)}), path, compression="zstd")
    assert path.stat().st_size < SMALL_TABLE_BYTES // BYTES_PER_FILE_BYTE
    peak = peak_of(lambda: read_parquet(path))
    assert SMALL_TABLE_BYTES * 0.9 < peak.total < 2 * SMALL_TABLE_BYTES


def test_pages_claim_what_they_hold() -> None:
    """The headers that are read here agree with the footers of the shipped files."""
    for file in FILES:
        path = Path(cases.__file__).parent / "data" / "feeders" / "case533mt_hi" / file
        data = path.read_bytes()
        group = pq.ParquetFile(path).metadata.row_group(0)
        for at in range(group.num_columns):
            column = group.column(at)
            if not column.num_values:
                continue
            start = column.dictionary_page_offset or column.data_page_offset
            claim = largest_claim(data, start, column.total_compressed_size)
            assert 0 < claim <= column.total_uncompressed_size
            with pytest.raises(PageError):
                largest_claim(data, start + 1, column.total_compressed_size)


@pytest.mark.slow
def test_the_peak_of_a_list_is_its_size() -> None:
    """The ruler itself."""
    assert peak_of(lambda: np.ones(10**6)).python == pytest.approx(8e6, rel=0.01)
    assert peak_of(lambda: pa.array(range(10**6), type=pa.int64())).arrow == pytest.approx(8e6, rel=0.1)
    assert Peak(1, 2).total == 3
