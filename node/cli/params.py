"""`ainur params`: what the DAO may tune, within which bounds, and what it means."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from node.cli.options import home_option, json_option
from node.cli.output import ain, emit_fields, emit_json, emit_table, note
from node.cli.session import open_chain
from node.home import Home

if TYPE_CHECKING:
    from node.chain import Chain
    from node.tokens import Accepted


@click.command()
@click.argument("name", required=False)
@home_option
@json_option
def command(name: str | None, home: Home, as_json: bool) -> None:
    """Show all parameters, or parameter NAME and what a vote could set it to now."""
    with open_chain(home) as chain:
        if name is None:
            _show_all(chain, as_json)
        else:
            _show_one(chain, name, as_json)


_MANY_VERSIONS = 60


def readable(label: str, value: int) -> str:
    """A value in the unit that people use; what `gov propose set` takes comes first."""
    if label.lower().endswith("wei"):
        return ain(value)
    if label.endswith("Versions"):
        from node.parameters import versions_of

        versions = versions_of(value)
        return ",".join(map(str, versions)) if len(versions) < _MANY_VERSIONS else "any"
    return f"{value} ({value / 100:g}%)" if label.endswith("Bps") else str(value)


def _show_all(chain: "Chain", as_json: bool) -> None:
    from node.parameters import MEANINGS, unit_of
    from node.tokens import Tokens

    rows = [(p, v, chain.parameters.bounds(p)) for p, v in chain.parameters.all().items()]
    accepted = Tokens(chain).accepted()
    if as_json:
        listed = {
            p.label: {"value": value, "min": bounds.min, "max": bounds.max,
                      "unit": unit_of(p), "meaning": MEANINGS[p]}
            for p, value, bounds in rows
        }  # fmt: skip
        emit_json({**listed, "acceptedTokens": [_token(each) for each in accepted]})
        return
    emit_table(
        ("parameter", "value", "least", "greatest", "unit", "meaning"),
        [
            (p.label, *(readable(p.label, n) for n in (value, bounds.min, bounds.max)),
             unit_of(p), MEANINGS[p])
            for p, value, bounds in rows
        ],
    )  # fmt: skip
    _show_tokens(accepted)
    note("`ainur params NAME` tells what a vote could set now, `ainur gov propose set` proposes it")


def _token(each: "Accepted") -> dict[str, object]:
    rate = {"rate": each.rate, "ain_per_token": each.ain_per_token.removesuffix(" AIN")}
    return each.token.document() | rate


def _show_tokens(accepted: "Sequence[Accepted]") -> None:
    if not accepted:
        note("jobs are paid in AIN; the DAO accepts no other token")
        return
    click.echo()
    emit_table(
        ("accepted token", "address", "for locks one counts as", "note"),
        [
            (e.token.symbol, e.token.address, e.ain_per_token, e.token.note or None)
            for e in accepted
        ],
    )


def _show_one(chain: "Chain", name: str, as_json: bool) -> None:
    from node.governance import parse_parameter
    from node.parameters import MEANINGS, unit_of, votable

    parameter = parse_parameter(name)
    value, bounds = chain.parameters.get(parameter), chain.parameters.bounds(parameter)
    possible = votable(chain, parameter)
    if as_json:
        emit_json(
            {"name": parameter.label, "value": value, "min": bounds.min, "max": bounds.max,
             "votable_min": possible.min, "votable_max": possible.max,
             "unit": unit_of(parameter), "meaning": MEANINGS[parameter]}
        )  # fmt: skip
        return
    label = parameter.label
    emit_fields(
        {
            "parameter": label,
            "value": readable(label, value),
            "unit": unit_of(parameter),
            "meaning": MEANINGS[parameter],
            "hard bounds": f"{readable(label, bounds.min)} to {readable(label, bounds.max)}",
            "a vote could set": (
                f"{readable(label, possible.min)} to {readable(label, possible.max)}, "
                "while the others stay as they are"
            ),
        }
    )
