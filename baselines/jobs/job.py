"""What a job is: many items that do not depend on each other, and how they become tables.

A job says what it is (its configuration, what it reads), what its items are, how one of them is done and how
the tables of all are put together. Folder, lock, manifest, chunks, resume and engines are the same for all
jobs: see `distgrid.baselines.jobs.runner`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from .manifest import ChunkRecord, InputRecord, Manifest, ObjectRecord, Scalar

Tables = Mapping[str, pa.Table]


class JobConfig(BaseModel):
    """Base of the configurations: frozen, and unknown keys are refused.

    Each field has a default or is required, and a description; the command is made from them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def check(self) -> None:
        """RunError for values that cannot be, as far as they tell without a file. A job asks when made."""

    def told(self, *left_out: str) -> dict[str, Scalar]:
        """The values as parameters of a run, tuples with commas, without some fields."""
        return {
            name: ",".join(map(str, value)) if isinstance(value, tuple | list) else value
            for name, value in self.model_dump(exclude=set(left_out)).items()
        }


Config = TypeVar("Config", bound=JobConfig)


@dataclass(frozen=True)
class Part:
    """What one item, or some of them, came to.

    Attributes:
        tables: The job's tables by name.
        facts: One mapping for each item that has any; kept in run.json.
        notes: What a person should know, in words.
    """

    tables: Tables
    facts: Sequence[Mapping[str, Scalar]] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Chunk:
    """Items that are done in one go: `items` of the group `label`, from the `first`-th of the group on."""

    index: int
    label: str
    first: int
    items: tuple[Any, ...]


@dataclass(frozen=True)
class Description:
    """What decides the tables of a job beside its kind and parameters.

    Attributes:
        inputs: Hashes of what is read.
        objects: What was handed in, by content.
        unknown: What of it has no content that can be seen: nothing is resumed then.
        packages: Further packages whose version may change a result.
        seed: Of what is drawn at random, where anything is.
    """

    inputs: Sequence[InputRecord] = ()
    objects: Sequence[ObjectRecord] = ()
    unknown: Sequence[str] = ()
    packages: Sequence[str] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Summary:
    """The few results that run.json holds, and what is wrong with them, None where nothing is."""

    results: Mapping[str, Scalar] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class JobOutcome:
    """A job that has ended.

    Attributes:
        tables: The tables of the whole run by name.
        manifest: The content of run.json.
        out: The folder; None when nothing was written.
        skipped, computed: Chunks that were found finished, and those that were done now.
        complete: Whether the folder held this run, ended, so that nothing was done.
    """

    tables: Tables
    manifest: Manifest
    out: Path | None
    skipped: int
    computed: int
    complete: bool


class Job(ABC, Generic[Config]):
    """Base of all jobs. Must pickle: processes and machines get a copy each.

    A subclass says `kind`, `config_model` and `tables`, and has `items` and `do`; the rest has defaults.

    Attributes:
        kind: Its name, the words of its command: "dist pf".
        config_model: Its configuration, from which command and JSON schema are made.
        tables: Names of the tables of a chunk. The first one's rows are counted.
        outputs: Names of the tables of the whole run that it may write; as `tables` where left out.
        pictures: Further files of the whole run that it may write.
        keeps_parts: Whether finished chunks are kept in the folder. Without, the job is done in one go, and
            nothing is written before it has ended.
        word: What its items are called, in the plural.
        aliases: Further names of its verb, beside the last word of `kind`.
        shown_out: The default of `--out` in words, see `default_out`; empty: `--out` is required.
        workspace: Folder of a run with parts, in which a long item may keep how far it is; None: nowhere.
        tell: Is called with a few words about the item that is being done.
    """

    kind: ClassVar[str]
    config_model: ClassVar[type[JobConfig]]
    tables: ClassVar[tuple[str, ...]]
    outputs: ClassVar[tuple[str, ...]] = ()
    pictures: ClassVar[tuple[str, ...]] = ()
    keeps_parts: ClassVar[bool] = True
    word: ClassVar[str] = "items"
    aliases: ClassVar[tuple[str, ...]] = ()
    shown_out: ClassVar[str] = ""
    workspace: Path | None = None
    tell: Callable[[str], None] = staticmethod(lambda _words: None)

    def __init__(self, config: Config) -> None:
        """Check the configuration; nothing is opened yet."""
        config.check()
        self.config = config

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """First part of the id of a run."""
        return self.kind.replace(" ", "-")

    @property
    def portable(self) -> bool:
        """Whether another process can do it."""
        return True

    def parameters(self, context: Any) -> Mapping[str, Scalar]:
        """What was asked for, as far as it decides the tables; the configuration where not overridden."""
        return dict(self.config.model_dump(mode="json"))

    def describe(self, context: Any) -> Description:
        """What else decides the tables. The code of distgrid is an input of every job."""
        return Description()

    # -- how it is done --------------------------------------------------------------------------------------

    def prepare(self) -> Any:
        """What the items have in common, made once in every process: the context."""
        return None

    def release(self, context: Any) -> None:
        """Close what `prepare` opened."""

    @abstractmethod
    def items(self, context: Any) -> Sequence[Any]:
        """All items, in order; those of one label side by side."""

    def label(self, item: Any) -> str:
        """The group of an item. A chunk holds items of one group."""
        return ""

    @abstractmethod
    def do(self, context: Any, item: Any) -> Part:
        """Do one item. It must not depend on those done before."""

    def do_chunk(self, context: Any, chunk: Chunk) -> Part:
        """Do the items of a chunk; the bytes must be those of one by one."""
        return joined([self.do(context, item) for item in chunk.items])

    def chunk_size(self, context: Any, n_items: int) -> int:
        """Items of a chunk, where nobody says: a tenth of the largest group's `n_items`, at most 32."""
        return min(max(-(-n_items // 10), 1), 32)

    # -- how it ends -----------------------------------------------------------------------------------------

    def check_part(self, chunk: ChunkRecord, tables: Tables) -> str | None:
        """What is wrong with the tables of a finished chunk that were read back, None where nothing is."""
        return None

    def merge(self, context: Any, tables: Tables) -> Tables:
        """The tables of the whole run, from those of all chunks, put together in order."""
        return tables

    def summary(self, context: Any, tables: Tables, facts: Sequence[Mapping[str, Scalar]]) -> Summary:
        """The few results of the run; the facts of a single item where not overridden."""
        return Summary(dict(facts[0]) if len(facts) == 1 else {})

    def draw(self, context: Any, outcome: JobOutcome) -> Mapping[str, bytes]:
        """The further files of the run (`more_files`) by name."""
        return {}

    def more_files(self) -> tuple[str, ...]:
        """The `pictures`, and what else depends on the configuration: names of what `draw` gives."""
        return self.pictures

    def scratch(self) -> tuple[str, ...]:
        """Files, relative to `workspace`, in which items keep how far they are; none is left at the end."""
        return ()

    def wanted_outputs(self, context: Any) -> frozenset[str]:
        """Names of the tables and further files without which a run is not finished."""
        return frozenset(self.outputs or self.tables) | frozenset(self.more_files())

    # -- what a person sees ----------------------------------------------------------------------------------

    def default_out(self) -> Path | None:
        """The folder where none is named; None: one must be named."""
        return None

    def show(self, context: Any, outcome: JobOutcome) -> Iterable[Any]:
        """What the command prints: texts, and what rich can draw."""
        return [f"{name}: {value}" for name, value in outcome.manifest.results.items()]

    def verdict(self, outcome: JobOutcome) -> str | None:
        """How it ended, in a sentence: the problem, or the result of that name; None: nothing is said."""
        said = outcome.manifest.error or outcome.manifest.results.get("verdict")
        return None if said is None else str(said)


def joined(parts: Sequence[Part]) -> Part:
    """Some parts as one, in their order; all have the same tables."""
    tables = {name: pa.concat_tables([part.tables[name] for part in parts]) for name in parts[0].tables}
    facts = [fact for part in parts for fact in part.facts]
    return Part(tables, facts, [note for part in parts for note in part.notes])
