"""The folder that `--out` names, for every verb alike: who may use it, and what may be touched in it.

A folder belongs to one run. What its run.json says is believed only as far as it agrees with the plan of
such a run: no path outside of the plan is read, written or removed, and nothing that is not a regular file.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ...cases.storage.regular_files import read_regular
from ..errors import RunError, printable
from .files import TEMPORARY_SUFFIX, file_sha256, remove_temporaries, sha256_of, write_atomic
from .lock import FolderLock
from .manifest import FILE_NAME, SCHEMA, FileRecord
from .plan import PARTS

MAX_RUN_JSON_BYTES = 1 << 26
MAX_PART_BYTES = 1 << 30  # of a file that is read back
MAX_TABLE_BYTES = 1 << 40  # of one that is only hashed

_ANOTHER = "choose another --out folder"


class OutFolder:
    """A folder that holds exactly one run; the one process that works in it has entered it (`with`)."""

    def __init__(self, path: Path) -> None:
        """Nothing is touched yet."""
        self.path = path
        self._lock = FolderLock(path)
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        """Make the folder where there is none, and lock it; no file is touched.

        RunError: that is not allowed, it is a file, or another process runs there.
        """
        for _ in range(100):
            self._make()
            try:
                self._lock.acquire()
            except FileNotFoundError:  # whoever made it has just removed it
                continue
            except OSError as error:
                self._unmake()
                raise RunError(f"cannot look into {self.path}: {error.strerror}; {_ANOTHER}") from error
            except RunError:
                self._unmake()
                raise
            return self
        raise RunError(f"cannot create {self.path}: something removes it again and again; {_ANOTHER}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unlock it; where nothing was written, it goes as it came."""
        self._lock.unsign()
        self._unmake()
        self._lock.release()

    def _make(self) -> None:
        self._made = []
        try:
            if self.path.exists() and not self.path.is_dir():
                raise RunError(f"{self.path} is a file; --out takes a folder")
            for place in reversed([p for p in (self.path, *self.path.parents) if not p.exists()]):
                try:
                    place.mkdir()
                except FileExistsError:
                    if not place.is_dir():
                        raise
                else:
                    self._made.append(place)
        except (OSError, ValueError) as error:
            self._unmake()
            if isinstance(error, RunError):
                raise
            reason = error.strerror if isinstance(error, OSError) else error
            raise RunError(f"cannot create {self.path}: {reason}; {_ANOTHER}") from error

    def _unmake(self) -> None:
        for place in reversed(self._made):
            with contextlib.suppress(OSError):
                place.rmdir()  # only an empty one goes
        self._made = []

    # -- what is there ---------------------------------------------------------------------------------

    def run_json(self) -> str | None:
        """The text of run.json; None where there is nothing but what a run leaves that was killed early.

        RunError: the folder holds something else, or run.json is no regular file, too large or no text.
        """
        try:
            names = sorted(path.name for path in self.path.iterdir())
            if FILE_NAME in names:
                return self._text()
            others = [name for name in names if not self._is_leftover(self.path / name)]
        except OSError as error:
            raise RunError(f"cannot look into {self.path}: {error.strerror}; {_ANOTHER}") from error
        if others:
            raise RunError(
                f"{self.path} holds files but no {FILE_NAME}, so they are not a run of distgrid "
                f"({printable(others[0])}); {_ANOTHER} (an empty or a new one)"
            )
        return None

    def _text(self) -> str:
        path = self.path / FILE_NAME
        self.check_files([FILE_NAME])
        try:
            return read_regular(path, MAX_RUN_JSON_BYTES).decode("utf-8")
        except UnicodeDecodeError as error:
            raise RunError(f"{path} is not text; {_ANOTHER}") from error

    def _is_leftover(self, path: Path) -> bool:
        """Whether a run that was killed before its first run.json may have left this."""
        if path.is_dir() and not path.is_symlink():
            return path.name == PARTS and all(self._is_leftover(inside) for inside in path.iterdir())
        return path.name.startswith(".") and path.name.endswith(TEMPORARY_SUFFIX)

    def check_files(self, names: Iterable[str]) -> None:
        """RunError unless each of these names of the plan is a regular file here, or missing."""
        folders = set()
        for name in names:
            path = self.path / name
            for place in (path.parent, path):
                if place == self.path or place in folders:
                    continue
                try:
                    mode = os.lstat(place).st_mode
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise RunError(f"cannot look into {place}: {error.strerror}; {_ANOTHER}") from error
                if place != path:
                    folders.add(place)
                wanted = stat.S_ISREG(mode) if place == path else stat.S_ISDIR(mode)
                if not wanted:
                    what = "a regular file" if place == path else "a folder"
                    raise RunError(
                        f"{place} is {_kind(mode)}, not {what}: no run of distgrid makes that; {_ANOTHER}"
                    )

    def refuse(self, what: str) -> RunError:
        """The error about a run.json that says what no run of distgrid says."""
        return RunError(
            f"{self.path / FILE_NAME} is damaged, or not written by distgrid: {printable(what)}. Nothing was "
            f"touched; {_ANOTHER}, or remove this one if nothing in it is needed"
        )

    def check_records(
        self, records: Sequence[FileRecord], planned: Iterable[str], where: str, most_bytes: int
    ) -> None:
        """RunError unless the files listed are of the plan, each once, and of a size that can be."""
        allowed, seen = set(planned), set()
        for record in records:
            name = record.path
            if name not in allowed:
                raise self.refuse(f"{where} lists {name!r}, which is no file of such a run")
            if name in seen:
                raise self.refuse(f"{where} lists {name!r} twice")
            if not 0 < record.size_bytes <= most_bytes:
                raise self.refuse(f"{where} gives {name!r} {record.size_bytes} bytes")
            seen.add(name)

    def intact(self, records: Sequence[FileRecord]) -> bool:
        """Whether there are such files, and every one is as it was written. They have been checked."""
        try:
            return bool(records) and all(
                file_sha256(self.path / r.path, r.size_bytes) == r.sha256 for r in records
            )
        except OSError as error:
            raise RunError(f"cannot look into {self.path}: {error.strerror}; {_ANOTHER}") from error

    # -- what is done ----------------------------------------------------------------------------------

    def begin(self, command: Sequence[str], folders: Sequence[str] = ()) -> None:
        """Get ready to write: what a killed run left half-written goes, and others are told who is here.

        RunError: not allowed.
        """
        for place in (self.path, *(self.path / name for name in folders)):
            try:
                place.mkdir(exist_ok=True)
            except OSError as error:
                raise RunError(f"cannot create {place}: {error.strerror}; {_ANOTHER}") from error
            if not os.access(place, os.W_OK | os.X_OK):
                raise RunError(f"no permission to write into {place}; {_ANOTHER}")
        try:
            self._lock.sign(command)
        except OSError as error:
            raise RunError(f"cannot write into {self.path}: {error.strerror}; {_ANOTHER}") from error
        for place in (self.path, *(self.path / name for name in folders)):
            remove_temporaries(place, but=self._lock.file)

    def clear(self, names: Iterable[str]) -> None:
        """Remove these files of the plan, where they are."""
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def discard(self, names: Iterable[str]) -> None:
        """Remove these files of the plan, run.json last."""
        self.clear([*(n for n in names if n != FILE_NAME), FILE_NAME])

    def put(self, name: str, data: bytes) -> FileRecord:
        """Write `data` to `name` in the folder, whole or not at all."""
        write_atomic(self.path / name, data)
        return FileRecord(path=name, sha256=sha256_of(data), size_bytes=len(data))


def verb_of(text: str) -> str | None:
    """The verb whose run a run.json belongs to ("distgrid run"), None where it is of none that is known."""
    try:
        told = json.loads(text)
        if told["schema_version"] == SCHEMA:
            return f"distgrid {told['kind']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def belongs_elsewhere(path: Path, text: str, verb: str, reason: str) -> RunError:
    """The error about a run.json that `verb` cannot go on with, --fresh or not."""
    other = verb_of(text)
    if other is not None and other != verb:
        why = f"belongs to something else: a run of `{printable(other)}`, not of `{verb}`"
    else:
        why = f"is not a run.json that this version can read, or belongs to something else ({reason})"
    return RunError(f"{path} {why}; {_ANOTHER}, or remove this one if nothing in it is needed")


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"),
             (stat.S_ISSOCK, "a socket"), (stat.S_ISREG, "a file"))  # fmt: skip
    return next((name for test, name in kinds if test(mode)), "a device")
