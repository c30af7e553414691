"""`ainur treasury`: what the DAO holds, and the grants that were proposed and paid."""

import click

from node.cli.desk import native
from node.cli.options import home_option, json_option
from node.cli.output import ain, emit_json, emit_table, note
from node.cli.session import open_chain
from node.home import Home


@click.command()
@home_option
@json_option
def command(home: Home, as_json: bool) -> None:
    """Show what the treasury holds, and all grants, past and proposed."""
    from node.treasury import grants, holdings_of

    with open_chain(home) as chain:
        account = chain.network.contracts.timelock
        tokens, gas_money = chain.token.balance_of(account), chain.balance(account)
        credit = chain.rewards.credit_of(chain.token.address, account)
        found, others = grants(chain), holdings_of(chain)
    if as_json:
        listed = [
            {"proposal": g.proposal.id_hex, "state": g.proposal.state.name.lower(), "to": g.to,
             "amount_wei": g.amount_wei, "token": g.token.document(),
             "description": g.proposal.created.description}
            for g in found
        ]  # fmt: skip
        emit_json(
            {"account": account, "token_wei": tokens, "native_wei": gas_money,
             "credit_wei": credit, "grants": listed,
             "tokens": [
                 each.token.document() | {"held": each.held, "credit": each.credit}
                 for each in others
             ]}
        )  # fmt: skip
        return
    emit_table(
        ("proposal", "state", "to", "amount", "why"),
        [
            (g.proposal.id_hex[:18], g.proposal.state.name.lower(), g.to,
             g.token.amount(g.amount_wei), g.proposal.created.description)
            for g in found
        ],
        empty="no grants yet; propose one: `ainur gov propose grant ADDRESS AMOUNT`",
    )  # fmt: skip
    note(f"treasury {account} holds {ain(tokens)} and {native(gas_money)} of native currency")
    for each in others:
        held = "an unknown amount" if each.held is None else each.token.amount(each.held)
        line = f"of {each.token.name} it holds {held}"
        if each.credit:
            line += (
                f", and has {each.token.amount(each.credit)} to claim: `ainur rewards claim "
                f"--account {account} --token {each.token.address}`"
            )
        note(line)
    if credit:
        note(
            f"{ain(credit)} of emission are its share too; anybody has them paid: "
            f"`ainur rewards claim --account {account}`"
        )
