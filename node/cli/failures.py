"""What a person is told when a command fails: one clear line, its remedy, and an exit code.

The codes are those of node/errors.py; wrong usage of the command line is 2, an interruption 130.
"""

import sys
from dataclasses import dataclass

import click

from node.errors import BadInput, NodeError, NoDevice

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Failure:
    """An exit code and the lines for stderr."""

    exit_code: int
    lines: tuple[str, ...]


def describe(error: BaseException) -> Failure:
    """The failure that `error` amounts to. Groups of errors count as their gravest member."""
    error = _gravest(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Failure(INTERRUPTED, ("interrupted",))
    if isinstance(error, NodeError):
        return _failure(error.exit_code, error.message, error.remedy)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return Failure(BadInput.exit_code, (error.format_message(),))
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "ainur"
        return _failure(BadInput.exit_code, error.format_message(), f"Try `{path} --help`.")
    if isinstance(error, click.ClickException):
        return _failure(error.exit_code, error.format_message())
    return _foreign(error)


def _foreign(error: BaseException) -> Failure:
    # Looked up, not imported: a command that failed before it needed these packages must not wait
    # for them, and an error of a package that was never imported cannot be here.
    engine = sys.modules.get("engine.errors")
    if engine is not None and isinstance(error, engine.EngineError):
        device = isinstance(error, engine.DeviceError)
        return _failure(NoDevice.exit_code if device else BadInput.exit_code, str(error))
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        from node.config import explain

        return _failure(BadInput.exit_code, explain(error))
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return _failure(NodeError.exit_code, f"{error.strerror or error}{where}")
    return _failure(
        NodeError.exit_code,
        f"unexpected {type(error).__name__}: {error}",
        "This is a defect: set AINUR_DEBUG=1 to see where, and please report it.",
    )


def _failure(exit_code: int, message: str, remedy: str = "") -> Failure:
    text = " ".join(message.split())
    if remedy and text[-1:].isalnum():
        text += "."
    lines = (f"error: {text} {remedy}".rstrip(),)
    return Failure(exit_code, lines)


def _gravest(error: BaseException) -> BaseException:
    """The member of a (nested) group that decides: an interruption, then our own errors."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    members = [_gravest(member) for member in error.exceptions]
    for kind in (KeyboardInterrupt, NodeError):
        for member in members:
            if isinstance(member, kind):
                return member
    return members[0]
