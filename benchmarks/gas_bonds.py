"""What bonds cost: an owner's, those of delegators, and places on the list of who is active."""

from benchmarks.gas_meter import BOND_WEI, Meter, peer, signer
from node.chain import Chain
from node.chain.types import Parameter
from node.deployment import AIN
from node.devnet import Devnet


def bonds(meter: Meter, chain: Chain, name: str) -> None:
    """A bond's way in, and a part of it out again."""
    vault = chain.vault
    chain.send(chain.token.approve(vault.address, 1 << 200))
    meter.send("bond, first", chain, vault.bond(BOND_WEI, peer(name)))
    # Within its own second a bond writes no new entry of its owner's votes, and costs less.
    meter.devnet.travel(2)
    meter.send("bond, more", chain, vault.bond(BOND_WEI, b""))
    meter.send("request unbond", chain, vault.request_unbond(10 * AIN))
    meter.devnet.travel(chain.parameters.get(Parameter.UNBOND_DELAY_S))
    meter.send("withdraw", chain, vault.withdraw())


def delegated(meter: Meter, devnet: Devnet) -> None:
    """A delegated bond's way in and out: the first of its account, then another holder's."""
    names = [signer(name) for name in ("operator", "holder", "second holder")]
    operator, holder, second = names
    for account in names:
        devnet.fund(account.address, BOND_WEI)
    devnet.bond(operator, BOND_WEI, peer("operator"))
    with devnet.chain(operator) as chain:
        what = "open an account to delegated bonds"
        meter.send(what, chain, chain.vault.set_commission(operator.address, 500))
    with devnet.chain(holder) as chain, devnet.chain(second) as other:
        for account in (chain, other):
            account.send(account.token.approve(account.vault.address, 1 << 200))
        delegate = chain.vault.delegate_bond(operator.address, 10 * AIN, 500)
        meter.send("delegate a bond, an account's first", chain, delegate)
        meter.send("delegate a bond, a holder's first", other, delegate)
        devnet.travel(2)
        meter.send("delegate a bond, more", chain, delegate)
        meter.send("ask a delegated bond back", chain, chain.vault.request_undelegate(5 * AIN))
        devnet.travel(chain.parameters.get(Parameter.UNBOND_DELAY_S))
        meter.send("withdraw a delegated bond", chain, chain.vault.withdraw_delegated())
    earned(meter, devnet)
    listed(meter, devnet)


def listed(meter: Meter, devnet: Devnet) -> None:
    """Off the list that auditors are drawn from, whose last one takes over the place; and back."""
    operator, last = signer("operator"), signer("last")
    devnet.fund(last.address, BOND_WEI)
    devnet.bond(last, BOND_WEI, peer("last"))
    with devnet.chain(operator) as chain:
        bonded = chain.vault.bond_of(operator.address)
        meter.send("request unbond, of the whole bond", chain, chain.vault.request_unbond(bonded))
        meter.send("call it off", chain, chain.vault.cancel_unbond())


def earned(meter: Meter, devnet: Devnet) -> None:
    """A claim that is due when somebody delegates: the worker has rewards that nobody claimed."""
    worker, third = signer("worker"), signer("third holder")
    devnet.fund(third.address, BOND_WEI)
    with devnet.chain(worker) as chain:
        chain.send(chain.vault.set_commission(worker.address, 500))
    with devnet.chain(third) as chain:
        chain.send(chain.token.approve(chain.vault.address, 1 << 200))
        delegate = chain.vault.delegate_bond(worker.address, 10 * AIN, 500)
        meter.send("delegate a bond, with a claim that is due", chain, delegate)


def spend(chain: Chain) -> None:
    """Leave the account without a token outside its bond."""
    left = chain.token.balance_of(chain.address)
    chain.send(chain.vault.bond(left, b""))
