"""A command made from a job: its options, help and schema are those of the job's configuration."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from ..jobs.config_fields import AlsoNamed, DisplayedField, Positional
from ..jobs.job import Job, JobConfig, JobOutcome
from .config_file import alternatives, checked, read_config

FAILED = 3  # exit status; 0 is a result as wanted, 2 wrong input, 1 a machine that refuses

AnyJob = Job[Any]
_PLAIN = (str, int, float, bool, Path)
_REQUIRED: Any = inspect.Parameter.empty


def command_of(job: type[AnyJob]) -> Callable[..., None]:
    """The command of a job, for Typer.

    Arguments and options come from the fields of `job.config_model`: names, types, defaults, descriptions,
    with `Positional`, `DisplayedField` and `AlsoNamed` of `jobs.config_fields` among their annotations. Every
    command also has `--out`, `--fresh`, `--config` and `--schema`; those of many items have `--engine` and
    `--progress`. A run is resumed when the same command is given again. Exit status: 0 for a result,
    3 where the job's summary names a problem, 2 for wrong input.
    """
    model = job.config_model

    def command(ctx: typer.Context, **values: Any) -> None:
        given = {name for name in values if ctx.get_parameter_source(name).name == "COMMANDLINE"}  # type: ignore[union-attr]
        config = _config(model, values, given, values.pop("config"))
        values = {name: value for name, value in values.items() if name not in model.model_fields}
        raise typer.Exit(_run(job(config), **{name: v for name, v in values.items() if name != "schema"}))

    parameters = [_parameter("ctx", typer.Context, _REQUIRED), *_fields(model), *_common(job)]
    parameters.sort(key=lambda parameter: parameter.default is not _REQUIRED)  # as a signature wants it
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = inspect.cleandoc(model.__doc__ or "")
    command.__name__ = job.kind.replace(" ", "_")
    return command


# -- from fields to parameters -------------------------------------------------------------------------------


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _fields(model: type[JobConfig]) -> list[inspect.Parameter]:
    return [_of_field(name, field) for name, field in model.model_fields.items()]


def _of_field(name: str, field: FieldInfo) -> inspect.Parameter:
    """One argument or option; what is no plain type is written as a text, which the model reads."""
    kinds = alternatives(field)
    kind: Any = kinds[0] if len(kinds) == 1 and kinds[0] in _PLAIN else str
    default = _REQUIRED if field.is_required() else field.get_default(call_default_factory=True)
    if kind is str and isinstance(default, tuple | list):
        default = ",".join(map(str, default))
    metavar = next(
        (mark.metavar for mark in field.metadata if isinstance(mark, Positional | DisplayedField)), None
    )
    wanted = kind | None if default is None else kind
    if any(isinstance(mark, Positional) for mark in field.metadata):
        return _parameter(
            name, Annotated[wanted, typer.Argument(help=field.description, metavar=metavar)], default
        )
    flag = f"--{name.replace('_', '-')}"
    if kind is bool and default:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    flags = [flag, *(mark.flag for mark in field.metadata if isinstance(mark, AlsoNamed))]
    return _parameter(
        name, Annotated[wanted, typer.Option(*flags, help=field.description, metavar=metavar)], default
    )


def _common(job: type[AnyJob]) -> list[inspect.Parameter]:
    """The options of every job."""
    files = ", ".join(["tables", "run.json", *job.pictures])
    where = f"; default {job.shown_out}" if job.shown_out else ""
    out = typer.Option(
        "--out", metavar="DIR", help=f"Folder for {' and '.join(files.rsplit(', ', 1))}{where}."
    )
    found = [
        _parameter("out", Annotated[Path | None if job.shown_out else Path, out],
                   None if job.shown_out else _REQUIRED),
        _parameter("fresh", Annotated[bool, typer.Option(
            "--fresh", help="Throw away the run that the folder holds.")], False),
    ]  # fmt: skip
    if job.keeps_parts:
        text = "local, processes to use every core, or ray for the machines of a Ray cluster."
        found += [
            _parameter("engine", Annotated[str, typer.Option("--engine", "--jobs", help=text)], "local"),
            _parameter("progress", Annotated[bool, typer.Option(
                "--progress/--no-progress", help="Show a progress bar.")], True),
        ]  # fmt: skip
    text = "Take options from a YAML, TOML or JSON file; those of the command line win."
    from_file = typer.Option(
        "--config", metavar="FILE", help=text, is_eager=True, callback=_fill_in(job.config_model)
    )
    schema = typer.Option(
        "--schema", help="Print the JSON schema of the configuration and exit.", is_eager=True,
        callback=_print_schema(job.config_model),
    )  # fmt: skip
    found.append(_parameter("config", Annotated[Path | None, from_file], None))
    found.append(_parameter("schema", Annotated[bool, schema], False))
    return found


def _fill_in(model: type[JobConfig]) -> Callable[[typer.Context, Path | None], Path | None]:
    """What a file supplies need not be on the command line."""

    def callback(ctx: typer.Context, value: Path | None) -> Path | None:
        if value is not None:
            found = read_config(value, model)
            required = [name for name in found if model.model_fields[name].is_required()]
            ctx.default_map = {**(ctx.default_map or {}), **{name: _word(found[name]) for name in required}}
        return value

    return callback


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _print_schema(model: type[JobConfig]) -> Callable[[bool], bool]:
    def callback(value: bool) -> bool:
        if value:
            typer.echo(json.dumps(model.model_json_schema(), indent=2))
            raise typer.Exit
        return value

    return callback


# -- doing it ------------------------------------------------------------------------------------------------


def _config(
    model: type[JobConfig], values: Mapping[str, Any], given: set[str], file: Path | None
) -> JobConfig:
    """Values of the command line over those of the file."""
    found = {} if file is None else read_config(file, model)
    named = {name: f"{file}: {name}" for name in found}
    for name in model.model_fields:
        if name in given:
            found[name] = values[name]
            positional = any(isinstance(mark, Positional) for mark in model.model_fields[name].metadata)
            named[name] = name if positional else f"--{name.replace('_', '-')}"
    return checked(model, found, named)


def _run(job: AnyJob, out: Path | None, fresh: bool, engine: str = "local", progress: bool = False) -> int:
    """Do the job, show what it found; the exit status."""
    from ..jobs.runner import prepared, run_job

    folder = out or job.default_out()
    assert folder is not None  # the option is required where there is no default
    line = command_line(job, engine, folder)
    with prepared(job) as context:
        outcome = run_job(job, context, folder, engine=engine, fresh=fresh, progress=progress, command=line)
        _show(job, context, outcome, folder)
    return FAILED if outcome.manifest.error is not None else 0


def command_line(job: AnyJob, engine: str, out: Path) -> list[str]:
    """The words of a command that does this job."""
    first, options = [], []
    for name, field in type(job.config).model_fields.items():
        value = getattr(job.config, name)
        flag = f"--{name.replace('_', '-')}"
        if any(isinstance(mark, Positional) for mark in field.metadata):
            first.append(str(value))
        elif isinstance(value, bool):
            if value != field.default:
                options.append(flag if value else f"--no-{flag.removeprefix('--')}")
        elif value is not None:
            options += [flag, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    if job.keeps_parts:
        options += ["--engine", engine]
    return ["distgrid", *job.kind.split(), *first, *options, "--out", str(out)]


def _show(job: AnyJob, context: Any, outcome: JobOutcome, folder: Path) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # a pipe or a file has no width: long names must not be cut
        console.width = max(console.width, 120)
    for shown in job.show(context, outcome):
        if isinstance(shown, str):
            console.print(shown, highlight=False, markup=False)
        else:
            console.print(shown)
    resumed = _resumed_text(outcome)
    if resumed:
        console.print(resumed, style="dim", highlight=False)
    for name in [*(record.path for record in outcome.manifest.outputs), "run.json"]:
        typer.echo(f"  {folder / name}")
    verdict = job.verdict(outcome)
    if verdict is not None:
        typer.echo(verdict, err=outcome.manifest.error is not None)


def _resumed_text(outcome: JobOutcome) -> str:
    if outcome.complete or not outcome.computed:
        return "This run was complete already; nothing was done again (--fresh does it anew)."
    if outcome.skipped:
        return f"Resumed: {outcome.skipped} finished chunks were kept, {outcome.computed} were done now."
    return ""
