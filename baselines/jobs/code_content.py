"""Code as content: functions by their compiled code and what they refer to, classes by what they define.

Code of installed packages is known by the package's version and the file that it stands in; code of the user
is followed from function to function, as far as names lead. Bytecode is that of one version of Python, which
is part of every run.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import importlib.metadata
import importlib.util
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Inside = Callable[[Any, str], bytes]
Part = bytes | str

_PACKAGE = __name__.partition(".")[0]
_PACKAGES = {"site-packages", "dist-packages"}
_FUNCTIONS = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType,
    types.MethodWrapperType, types.GetSetDescriptorType, types.MemberDescriptorType,
    types.ClassMethodDescriptorType, np.ufunc,
)  # fmt: skip
_MAX_SOURCE_BYTES = 1 << 23
_IGNORED = frozenset({
    "__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__firstlineno__", "__slots__",
    "__static_attributes__", "__abstractmethods__", "_abc_impl", "__annotations__", "__parameters__",
    "__orig_bases__", "__match_args__", "__annotate__", "__annotate_func__", "__annotations_cache__",
})  # fmt: skip

#: What pydantic makes of a model: compiled, and full of addresses. Values are content where they are used.
_COMPILED = "__pydantic_"


def is_function(value: Any) -> bool:
    """Whether `value` is code that is called: a function, a compiled one, a built-in one."""
    return isinstance(value, _FUNCTIONS) or isinstance(getattr(value, "py_func", None), types.FunctionType)


def function_parts(value: Any, inside: Inside) -> Iterator[Part]:
    """What a function does: its code, defaults, what it closes over and what it refers to."""
    value = getattr(value, "py_func", value)  # of a compiled function
    if not isinstance(value, types.FunctionType):
        yield getattr(value, "__qualname__", getattr(value, "__name__", repr(type(value))))
        yield str(getattr(value, "__module__", ""))
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, types.ModuleType | type):
            yield inside(owner, ".__self__")
        return
    if has_address(value):
        yield from _address(value)
    else:
        yield from _code_parts(value.__code__)
        names = set(_names(value.__code__))
        for module in sorted(_imported(value.__code__)):
            yield _source_sha256(module, find=True)
        for name in sorted(names):
            if name in value.__globals__:
                yield name
                yield from _referred(value.__globals__[name], name, names, inside)
    yield inside(value.__defaults__, ".__defaults__")
    yield inside(value.__kwdefaults__, ".__kwdefaults__")
    for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
        if name != "__class__":
            yield inside(content, f" ({name})")


def _referred(value: Any, name: str, names: set[str], inside: Inside) -> Iterator[Part]:
    """What a name outside of a function stands for; of a module, what is used of it."""
    if not isinstance(value, types.ModuleType):
        yield inside(value, f" ({name})")
        return
    yield inside(value, f" ({name})")
    if not is_installed(value.__name__):
        for used in sorted(names & vars(value).keys()):
            yield used
            yield inside(vars(value)[used], f" ({name}.{used})")


def class_parts(value: type, inside: Inside) -> Iterator[Part]:
    """What a class defines, with its bases; a class of an installed package by its address."""
    if has_address(value):
        yield from _address(value)
        return
    yield value.__qualname__
    for base in value.__bases__:
        yield inside(base, "")
    for name, item in sorted(vars(value).items()):
        if name in _IGNORED or name.startswith(_COMPILED):
            continue
        yield name
        for part in _unwrapped(item):
            yield inside(part, f".{name}")


def _unwrapped(item: Any) -> tuple[Any, ...]:
    if isinstance(item, staticmethod | classmethod):
        return (item.__func__,)
    if isinstance(item, property):
        return (item.fget, item.fset, item.fdel)
    if isinstance(item, functools.cached_property):
        return (item.func,)
    return (item,)


def module_parts(value: types.ModuleType) -> Iterator[Part]:
    """The version of an installed module, the source of another one."""
    yield value.__name__
    if is_installed(value.__name__):
        yield _version(value.__name__.partition(".")[0])
    else:
        yield _source_sha256(value.__name__)


def has_address(value: Any) -> bool:
    """Whether a class or function is the one that stands under its name in an installed module.

    Those that a function of such a module has made stand in its file.
    """
    if not is_installed(value.__module__):
        return False
    module = sys.modules.get(value.__module__)
    methods = [value] if isinstance(value, types.FunctionType) else vars(value).values()
    files = {item.__code__.co_filename for item in methods if isinstance(item, types.FunctionType)}
    if files and files == {getattr(module, "__file__", None)}:
        return True
    found: Any = module
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _address(value: Any) -> Iterator[Part]:
    """Where code of an installed package stands, and in which state."""
    module = str(value.__module__)
    yield f"{module}:{value.__qualname__}"
    if module.partition(".")[0] != _PACKAGE:  # whose own sources are an input of each run
        yield _version(module.partition(".")[0])
        yield _source_sha256(module)


def _code_parts(code: types.CodeType) -> Iterator[Part]:
    yield code.co_code
    yield code.co_exceptiontable
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    yield repr((code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_parts(constant)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _imported(code: types.CodeType) -> Iterator[str]:
    """Modules that a function imports itself, without those that are installed."""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME" and not is_installed(step.argval):
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imported(constant)


def names_in(value: type) -> set[str]:
    """Every name that the code of a class mentions."""
    found = set()
    for item in vars(value).values():
        for part in _unwrapped(item):
            if isinstance(part, types.FunctionType):
                found |= set(_names(part.__code__))
    return found


@functools.cache
def is_installed(module: str | None) -> bool:
    """Whether a module is part of Python, of this package or of an installed one."""
    top = str(module).partition(".")[0]
    if top in (_PACKAGE, "builtins") or (top in sys.stdlib_module_names and top != "__main__"):
        return True
    file = getattr(sys.modules.get(str(module)), "__file__", None)
    if not isinstance(file, str):
        return False
    path = Path(file)
    if _PACKAGES & set(path.parts):
        return True
    return any(path.is_relative_to(folder) for folder in _installed_folders())


@functools.cache
def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    named = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    named |= {*site.getsitepackages(), site.getusersitepackages()}
    return tuple(Path(name) for name in named)


@functools.cache
def _version(package: str) -> str:
    found = getattr(sys.modules.get(package), "__version__", None)
    if isinstance(found, str):
        return found
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _source_sha256(module: str, find: bool = False) -> str:
    """Over the file of a module; "" where it has none, or one that is no source."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if find and file is None:
        try:
            file = getattr(importlib.util.find_spec(module), "origin", None)
        except (ImportError, ValueError):
            return ""
    if not isinstance(file, str) or not file.endswith(".py"):
        return ""
    path = Path(file)
    try:
        return (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.stat().st_size < _MAX_SOURCE_BYTES else ""
        )
    except OSError:
        return ""


@functools.cache
def package_sha256() -> str:
    """Over the sources of this package: what an editable install runs is more than its version."""
    root = Path(sys.modules[_PACKAGE].__file__ or "").parent
    digest = hashlib.sha256()
    for part in ("baselines", "cases", "envs", "physics"):
        for path in sorted((root / part).rglob("*.py")):
            if not {"bench", "cli"} & set(path.relative_to(root).parts):
                digest.update(path.relative_to(root).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()
