"""What a proposal costs on its way: the governance part of `python -m benchmarks.gas`."""

from collections.abc import Callable

from node.ballot import sign_ballot
from node.chain import Chain
from node.chain.events import ProposalCreated
from node.chain.handle import Transaction
from node.chain.types import Parameter, Support
from node.deployment import AIN, DEVNET
from node.devnet import Devnet
from node.governance import find_proposal
from node.wallet import Signer

VOTES_WEI = 5_000 * AIN
"""More than a proposer needs, far less than the quorum."""

Send = Callable[[str, Chain, Transaction], None]


def votes(send: Send, devnet: Devnet, signer: Callable[[str], Signer]) -> None:
    """One parameter changed: propose, vote in all ways, queue, execute. `signer` makes keys; the
    one called worker has a bond and nothing else."""
    people = [signer(name) for name in ("proposer", "voter", "other", "absent")]
    for person in people:
        devnet.fund(person.address, VOTES_WEI)
    for person in (*people, devnet.treasury):
        with devnet.chain(person) as chain:
            chain.send(chain.token.delegate(person.address))
    devnet.travel(1)
    proposer, first, second, absent = people
    with devnet.chain(proposer) as chain:
        number = _propose(send, devnet, chain)
        devnet.travel(DEVNET.voting_delay_s + 1)
        ballot = sign_ballot(chain, absent, find_proposal(chain, str(number)), Support.FOR)
        for what, voter in (("vote, the first for", first), ("vote", second)):
            with devnet.chain(voter) as own:
                send(what, own, own.governor.vote(number, Support.FOR))
        with devnet.chain(signer("worker")) as bonded:
            vote = bonded.governor.vote(number, Support.FOR)
            send("vote, with bonded tokens", bonded, vote)
        signature = bytes.fromhex(ballot.signature[2:])
        by = chain.governor.vote_by_signature(number, Support.FOR, absent.address, signature)
        send("vote by signature", chain, by)
        with devnet.chain(devnet.treasury) as many:
            send("vote that reaches the quorum", many, many.governor.vote(number, Support.FOR))
        devnet.travel(DEVNET.voting_period_s + 1)
        send("queue", chain, chain.governor.queue(number))
        devnet.travel(DEVNET.timelock_s + 1)
        send("execute", chain, chain.governor.execute(number))


def _propose(send: Send, devnet: Devnet, chain: Chain) -> int:
    start = chain.head().number
    change = chain.parameters.set(Parameter.AUDIT_FLOOR_BPS, 500)
    send("propose", chain, chain.governor.propose([change], "Audit less."))
    (created,) = chain.events(start, chain.head().number, (ProposalCreated,))
    assert isinstance(created, ProposalCreated)
    return created.proposal_id
