"""The ``distgrid`` command: a thin face over the functions of the library.

Verbs that are jobs are made from the configuration of their job (``baselines/cli/verbs.py``); each of the
others calls one public function. What the user got wrong is told in plain words on stderr with exit code 2;
set ``DISTGRID_DEBUG=1`` to see the traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer
from gymnasium.error import Error as GymnasiumError

from . import __version__
from .physics import JitDisabledError


def build_app(words: Sequence[str] = ()) -> typer.Typer:
    """Assemble the command; the verbs are imported here, so that ``import distgrid.cli`` stays cheap.

    Args:
        words: Of a command line. Where they begin with a verb, it alone is imported.
    """
    from .baselines.cli.verbs import add_verbs

    app = typer.Typer(
        name="distgrid",
        help="Electric distribution grids: real feeders, exact power flow, scored policies.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    add_verbs(app, words)
    app.command()(version)
    return app


def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave the process.

    Args:
        argv: The arguments after the program's name; None takes those of the process.

    Raises:
        SystemExit: Always. 0 on success, 2 when the input was wrong (a ``CaseError`` is a ``ValueError``),
            1 when the machine refused (disk full, no permission, no compiler), 130 when interrupted.
    """
    try:
        words = sys.argv[1:] if argv is None else list(argv)
        build_app(words)(args=words, prog_name="distgrid")
    except (ValueError, GymnasiumError) as error:
        _leave(error, code=2)
    except (OSError, JitDisabledError) as error:
        _leave(error, code=1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _leave(error: Exception, code: int) -> NoReturn:
    """Tell the user what went wrong and exit, or show the whole traceback if that was asked for."""
    if os.environ.get("DISTGRID_DEBUG"):
        raise error
    typer.echo(f"distgrid: error: {error}", err=True)
    sys.exit(code)
