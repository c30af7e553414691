"""Whose bond a command is about: this wallet's own account, or one whose bond it owns."""

from typing import TYPE_CHECKING

import click

from node.cli.session import parse_address
from node.errors import BadInput

if TYPE_CHECKING:
    from node.chain import Chain

operator_option = click.option(
    "--operator", help="The node's account, where this wallet is not the node but owns its bond."
)


def owned_account(chain: "Chain", operator: str | None) -> str:
    """Whose bond it is about; BadInput for an operator whose bond this wallet does not own."""
    if operator is None:
        return chain.address
    account = parse_address(operator)
    require_owner(chain, account)
    return account


def require_owner(chain: "Chain", account: str) -> None:
    """BadInput unless this wallet owns the account's bond."""
    owner = chain.vault.owner_of(account)
    if owner != chain.address:
        raise BadInput(
            f"The bond of {account} belongs to {owner}, not to {chain.address}.",
            f"Use the wallet of {owner}, with --operator {account}, or have it offer the bond: "
            "`ainur stake owner ADDRESS`.",
        )
