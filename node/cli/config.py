"""`ainur config`: read and change the settings of a home."""

import click

from node.cli.options import home_option, json_option
from node.cli.output import emit_json, emit_table, note
from node.cli.session import open_config
from node.config import Config, Value, get_value, set_value
from node.files import make_private_folder
from node.home import Home


@click.group()
def command() -> None:
    """Read and change settings."""


@command.command("get")
@click.argument("name", required=False)
@home_option
@json_option
def get(name: str | None, home: Home, as_json: bool) -> None:
    """Show setting NAME, or all of them, as they are in force."""
    config = open_config(home)
    if name is not None:
        value = get_value(config, name)
        if as_json:
            emit_json({name: value})
        else:
            click.echo(_text(value))
        return
    values = {field: get_value(config, field) for field in Config.model_fields}
    if as_json:
        emit_json(values)
        return
    emit_table(
        ("setting", "value", "meaning"),
        [
            (field, _text(value), Config.model_fields[field].description)
            for field, value in values.items()
        ],
    )


@command.command("set")
@click.argument("name")
@click.argument("value")
@home_option
def set_(name: str, value: str, home: Home) -> None:
    """Store VALUE for setting NAME; lists are comma-separated."""
    make_private_folder(home.path)
    stored = set_value(home.config, name, value)
    note(f"{name} = {_text(stored)}; a running node reads it at its next start")


@command.command("path")
@home_option
def path(home: Home) -> None:
    """Print where the settings are kept."""
    click.echo(home.config)


def _text(value: Value) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
