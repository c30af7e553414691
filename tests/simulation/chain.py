"""A double of the chain: blocks, a pool of transactions, gas that runs out, blocks replaced.

Transactions are executed in some block after they were sent, not in the order of sending. While
faults last one may run out of gas, or wait so long that its sender gives up on it, and land all the
same. A fork replaces the last blocks by others with other hashes, in which their transactions come
in another order or later.
"""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from node.chain import Reverted
from node.chain.events import Event, JobFunded, ParameterChanged
from node.chain.types import JobTerms, Parameter
from node.errors import ChainUnreachable
from tests.simulation import truth
from tests.simulation.committee import Committee
from tests.simulation.ledger import Ledger
from tests.simulation.loop import Loop, Suspend
from tests.simulation.money import ESCROW, SUBMITTER, Bank, Env, Escrow, Rules, Vault
from tests.simulation.watch import Watch

BLOCK_MS = 500
RECEIPT_MS = 15_000
FORK_BLOCKS = 2


@dataclass(frozen=True)
class Receipt:
    """What the node's code reads of one."""

    block: int


@dataclass(frozen=True)
class Call:
    """A call of a contract's double, prepared by the node's code as for the real one."""

    contract: str
    function: str
    arguments: tuple[Any, ...]

    def run(self, state: "Contracts", sender: str) -> None:
        getattr(getattr(state, self.contract), self.function)(sender, *self.arguments)


class Prepare:
    """Stands for a contract class such as those of node/chain/work.py: each method gives a call."""

    def __init__(self, contract: str) -> None:
        self._contract = contract

    @property
    def address(self) -> str:
        return self._contract

    def __getattr__(self, function: str) -> Callable[..., Call]:
        return lambda *arguments: Call(self._contract, function, arguments)


@dataclass
class Contracts:
    """Everything that a fork takes back."""

    env: Env
    bank: Bank
    vault: Vault
    escrow: Escrow
    committee: Committee
    ledger: Ledger
    watch: Watch


def deploy(rules: Rules, rounds: int, slots: int, rounds_ahead: int = 0) -> Contracts:
    """The contracts with one funded job."""
    env, bank = Env(rules), Bank()
    vault, escrow = Vault(env, bank), Escrow(env, bank, rounds, slots, rounds_ahead)
    committee = Committee(env, vault)
    ledger = Ledger(env, bank, vault, escrow, committee)
    committee.bind(ledger.on_verdict, ledger.is_opened)
    bank.mint(SUBMITTER, escrow.price())
    bank.move(SUBMITTER, ESCROW, escrow.price())
    escrow.deposited = escrow.price()
    terms = JobTerms(b"m" * 32, 1, b"b" * 32, rounds, slots, rules.unit_wei, 1 << 40, rounds_ahead)
    env.emit(ParameterChanged, Parameter.AUDIT_FLOOR_BPS, 0, rules.floor_bps)
    env.emit(ParameterChanged, Parameter.LOCK_FACTOR_BPS, 0, rules.lock_factor_bps)
    env.emit(
        JobFunded, truth.JOB, SUBMITTER, terms, rules.audit_wei, rules.unit_wei, escrow.deposited
    )
    return Contracts(env, bank, vault, escrow, committee, ledger, Watch(slots))


@dataclass(frozen=True)
class Block:
    number: int
    time_s: int
    events: tuple[Event, ...]
    transactions: tuple["Transaction", ...] = ()


@dataclass(eq=False)
class Transaction:
    sender: str
    call: Call
    ready_ms: int
    tell: Callable[[Receipt | Exception], None]
    told: bool = False

    def answer(self, outcome: Receipt | Exception) -> None:
        if not self.told:
            self.told = True
            self.tell(outcome)


class Odds(Protocol):
    """What may go wrong now, as probabilities of a transaction or a block."""

    out_of_gas: float
    stuck: float
    fork: float


@dataclass
class Fork:
    state: Contracts
    base: int
    at: int


@dataclass
class Chain:
    """Mines for ever. `state` is that of the newest block; it is another object after a fork."""

    loop: Loop
    state: Contracts
    odds: Callable[[], Odds]
    faults: Counter[str]
    blocks: list[Block] = field(default_factory=list)
    pool: list[Transaction] = field(default_factory=list)
    fork: Fork | None = None

    def start(self) -> None:
        """The first block has what happened before the simulation."""
        self._mine([], self.loop.now_ms)
        self.loop.every(BLOCK_MS, self._next)

    @property
    def head(self) -> int:
        return len(self.blocks) - 1

    async def send(self, sender: str, call: Call) -> Receipt:
        """Wait until it is mined. Reverted if it failed, ChainUnreachable if it takes too long."""

        def begin(resume: Callable[[Any, BaseException | None], None]) -> None:
            def tell(outcome: Receipt | Exception) -> None:
                failed = isinstance(outcome, Exception)
                resume(None if failed else outcome, outcome if failed else None)

            self.submit(sender, call, tell)

        receipt: Receipt = await Suspend(begin)
        return receipt

    def submit(
        self, sender: str, call: Call, tell: Callable[[Receipt | Exception], None] = lambda _: None
    ) -> None:
        stuck = self.loop.random.random() < self.odds().stuck
        self.faults["transactions stuck"] += stuck
        wait_ms = self.loop.random.randrange(2 * RECEIPT_MS if stuck else 200)
        sent = Transaction(sender, call, self.loop.now_ms + wait_ms, tell)
        self.pool.append(sent)
        late = ChainUnreachable("The transaction was not mined in time.")
        self.loop.after(RECEIPT_MS, lambda: sent.answer(late))

    def _next(self) -> None:
        if self.fork is None and self.loop.random.random() < self.odds().fork:
            depth = self.loop.random.randint(1, FORK_BLOCKS)
            self.fork = Fork(copy.deepcopy(self.state), self.head, self.head + depth)
        ready = [sent for sent in self.pool if sent.ready_ms <= self.loop.now_ms]
        self.pool = [sent for sent in self.pool if sent.ready_ms > self.loop.now_ms]
        self.loop.random.shuffle(ready)
        self._mine(ready, self.loop.now_ms)
        if self.fork is not None and self.head >= self.fork.at:
            self._replace(self.fork)

    def _mine(self, ready: list[Transaction], now_ms: int) -> None:
        env = self.state.env
        env.height, env.time_s = len(self.blocks), now_ms // 1000
        env.hashes[env.height] = self.loop.random.randbytes(32)
        for sent in ready:
            self._answer(sent, self._execute(sent))
        events, env.events = env.events, []
        self.state.watch.block(events, self.state.ledger)
        self.blocks.append(Block(env.height, env.time_s, tuple(events), tuple(ready)))

    def _answer(self, sent: Transaction, outcome: Receipt | Exception) -> None:
        self.loop.after(self.loop.random.randrange(100), lambda: sent.answer(outcome))

    def _execute(self, sent: Transaction) -> Receipt | Exception:
        if self.loop.random.random() < self.odds().out_of_gas:
            self.faults["out of gas"] += 1
            return Reverted(sent.call.function, "", {})
        try:
            sent.call.run(self.state, sent.sender)
        except Reverted as refused:
            return refused
        return Receipt(self.state.env.height)

    def _replace(self, fork: Fork) -> None:
        """The blocks after `fork.base` never happened; others did."""
        dropped = self.blocks[fork.base + 1 :]
        self.faults["blocks replaced"] += len(dropped)
        self.blocks, self.state, self.fork = self.blocks[: fork.base + 1], fork.state, None
        again = [sent for block in dropped for sent in block.transactions]
        self.loop.random.shuffle(again)
        for block in dropped:
            now = [sent for sent in again if self.loop.random.random() < 0.6]
            again = [sent for sent in again if sent not in now]
            self._mine(now, block.time_s * 1000)
        for sent in again:
            sent.ready_ms = self.loop.now_ms + self.loop.random.randrange(5_000)
        self.pool += again
