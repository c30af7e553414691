"""`ainur gov referee`, `keep-referee`: who decides disputes, and who is to."""

from typing import TYPE_CHECKING

import click

from node.cli.desk import How, transacting, transaction_options
from node.cli.options import home_option, json_option
from node.cli.output import emit_fields, emit_json, note, utc
from node.cli.session import (
    open_chain,
)
from node.home import Home

if TYPE_CHECKING:
    pass


@click.command("referee")
@home_option
@json_option
def referee(home: Home, as_json: bool) -> None:
    """Show who decides disputes, and who waits for that seat until when."""
    from node.referee import seat_of

    with open_chain(home) as chain:
        seat = seat_of(chain)
    if as_json:
        emit_json(
            {"referee": seat.referee, "known": seat.is_known,
             "successor": seat.successor or None, "seated_at": seat.seated_at_s or None,
             "notice_s": seat.notice_s}
        )  # fmt: skip
        return
    emit_fields(
        {
            "referee": seat.referee + ("" if seat.is_known else ", not that of the network file"),
            "successor": seat.successor or None,
            "has the seat from": utc(seat.seated_at_s) if seat.successor else None,
            "notice": f"{seat.notice_s // 86_400} days, longer than the longest exit",
        }
    )
    if seat.successor:
        note("whoever does not want to be judged by it can leave before: `ainur stake remove`")


@click.command("keep-referee")
@home_option
@transaction_options
def keep_referee(home: Home, how: How) -> None:
    """As the guardian, withdraw who waits for the referee's seat. Else `propose keep-referee`."""
    from node.referee import require_guardian

    with transacting(home, how) as desk:
        require_guardian(desk.chain)
        desk.send(desk.chain.seat.withdraw())
        note("withdrawn; the referee stays")
