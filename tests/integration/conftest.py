"""Real daemons in processes of their own, on a real chain that all tests of this folder share.

A test asks for `network(n)`: n bonded homes, their daemons, and a submitter. When it ends, however
it ends, the daemons are stopped, no process of it may be left, its jobs are cancelled and its nodes
leave the chain's list of active ones, so that no later draw falls on somebody who is gone.
"""

import contextlib
import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from engine.backend import open_backend
from engine.commitment import state_root
from examples.digits.__main__ import Settings, write
from node.api_client import ApiClient
from node.bundle import assemble
from node.chain import Chain
from node.chain import events as on_chain
from node.chain.types import Parameter
from node.chain_jobs import LedgerReader
from node.cli.devnet import free_port
from node.cli.main import run
from node.config import set_value
from node.deployment import AIN, DEVNET
from node.devnet import PASSWORD, Devnet
from node.errors import NodeNotRunning
from node.home import Home
from node.identity import load_seed, peer_id_from_key
from node.ids import JobId, unit_id
from node.ledger import JobView, Ledger
from node.network_file import NetworkFile, save_network
from node.replay import replay
from node.status import NodeStatus
from node.swarm import Swarm
from node.wallet import Signer, find_wallet, unlock

ROOT = Path(__file__).parents[2]
SMALL = Settings(rounds=3, slots=4, steps=5, trace_every=2)
WIDE = Settings(rounds=2, slots=12, steps=3, trace_every=2)
LONG = Settings(rounds=4, slots=3, steps=3, trace_every=2)
BOND_WEI = 101 * AIN
"""The lock of one unit, lost, takes a node below the minimum; a round of `WIDE` locks a quarter."""
PATIENCE_S = 240.0
"""How long a condition may take to come true on a busy machine. Nothing is measured by it."""
LOOK_S = 0.1

PATIENT = replace(
    DEVNET,
    parameters={
        **DEVNET.parameters,
        # A node that is killed and started again on a busy machine still opens in time.
        Parameter.AUDIT_WINDOW_S: 90,
        Parameter.OPEN_WINDOW_S: 90,
        Parameter.CHALLENGE_WINDOW_S: 1,
        Parameter.UNBOND_DELAY_S: 2_000,
    },
)


@pytest.fixture(scope="session")
def tidy_end() -> Iterator[None]:
    """Clean up on SIGTERM too, which is how a test run that takes too long is ended."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def devnet(tidy_end: None) -> Iterator[Devnet]:
    """The chain that the tests of this folder share."""
    with Devnet(PATIENT) as running:
        yield running


@dataclass(frozen=True)
class Job:
    """The small digits job: its file, and the digest that a replay in this process gives."""

    file: Path
    digest: bytes
    rounds: int


@pytest.fixture(scope="session")
def small_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The job that most tests train, replayed once."""
    return _job(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture(scope="session")
def wide_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job with so many slots that whoever computes a round cannot but cheat somewhere."""
    return _job(tmp_path_factory.mktemp("wide"), WIDE)


@pytest.fixture(scope="session")
def long_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job of so many rounds that some can run ahead of an audit."""
    return _job(tmp_path_factory.mktemp("long"), LONG)


def _job(folder: Path, settings: Settings) -> Job:
    file = write(folder, settings)
    digest = state_root(replay(assemble(file).job, open_backend()).state)
    return Job(file, digest, settings.rounds)


@dataclass(frozen=True)
class Outcome:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Network:
    """Homes, their daemons, and a submitter, on a chain; what they do is read from the chain."""

    devnet: Devnet
    folder: Path
    submitter: Home
    swarm: Swarm
    chain: Chain
    reader: LedgerReader
    network: NetworkFile
    homes: list[Home] = field(default_factory=list)
    environments: dict[Path, Mapping[str, str]] = field(default_factory=dict)
    """What each node's environment has on top of ours."""
    _started_at: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Tell when something happened; pytest shows it if the test fails."""
        print(f"[{time.monotonic() - self._started_at:6.1f} s] {text}", flush=True)

    # --- Nodes

    def start(self, *homes: Home) -> None:
        """Start daemons and wait until all that were started answer and know each other."""
        for home in homes or self.homes:
            self.launch(home)
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Wait until every daemon that was started knows every other."""
        peers = len(self.swarm.running()) - 1
        self.swarm.wait_until_up(peers=peers, timeout_s=PATIENCE_S)
        self.say(f"{peers + 1} nodes are up")

    def add(self, count: int) -> list[Home]:
        """Make so many more bonded homes."""
        made = []
        for _ in range(count):
            path = self.folder / f"node-{len(self.homes)}"
            home = self.devnet.home(path, bond_wei=BOND_WEI)
            if not self.homes:
                self._be_bootstrap(home)
            save_network(home.network, self.network)
            self.homes.append(home)
            made.append(home)
        return made

    def _be_bootstrap(self, home: Home) -> None:
        port = free_port()
        set_value(home.config, "listen_port", str(port))
        peer_id = peer_id_from_key(load_seed(home.peer_key))
        self.network = self.devnet.network.with_bootstrap(
            f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id}"
        )
        save_network(self.submitter.network, self.network)

    def launch(self, home: Home) -> None:
        """Start a daemon without waiting."""
        self.swarm.start(home, self.environments.get(home.path))

    def retire(self, home: Home) -> None:
        """Take a node off the chain's list of active ones."""
        signer = self.signer(home)
        with self.devnet.chain(signer) as chain:
            if chain.vault.is_active(signer.address):
                bond = chain.vault.bond_of(signer.address)
                chain.send(chain.vault.request_unbond(bond))

    def address(self, home: Home) -> str:
        return find_wallet(home.wallets, "default").address

    def signer(self, home: Home) -> Signer:
        return unlock(find_wallet(home.wallets, "default"), PASSWORD)

    def home_of(self, wallet: str) -> Home:
        return next(home for home in self.homes if self.address(home) == wallet)

    def status(self, home: Home) -> NodeStatus:
        """What a daemon that runs says of itself."""
        status = self.swarm.status(home)
        assert status is not None
        return status

    def document(self, home: Home, job_id: bytes) -> dict[str, Any] | None:
        """The progress of a job as its coordinator tells it, None from anybody else."""
        try:
            return ApiClient(home.api).job(job_id.hex())
        except NodeNotRunning:
            return None

    def compute_workers(self, home: Home) -> dict[int, str]:
        """The processes that compute for a home."""
        return processes_of(home.store)

    # --- Commands

    def ainur(self, home: Home, *arguments: object) -> Outcome:
        """Run a command line through its entry point, as the owner of a home."""
        return self.run(*arguments, "--home", home.path)

    def run(self, *arguments: object) -> Outcome:
        """Run a command line that needs no home."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([*map(str, arguments)])
        return Outcome(code, out.getvalue(), err.getvalue())

    def submit(self, file: Path, *options: object) -> bytes:
        """Submit a job; its id."""
        words = ("job", "submit", file, "--again", "--json", *options)
        outcome = self.ainur(self.submitter, *words)
        assert outcome.code == 0, outcome.err
        self.say("the job is submitted")
        return bytes.fromhex(outcome.json["job_id"].removeprefix("0x"))

    # --- The chain

    def ledger(self) -> Ledger:
        return self.reader.update()

    def job(self, job_id: bytes) -> JobView:
        """The job now; its money adds up whenever one looks."""
        while True:
            head = self.chain.head()
            job = self.ledger().jobs[job_id]
            record = self.chain.escrow.job(JobId(job_id))
            held = self.chain.escrow.held_of(JobId(job_id))
            if self.chain.head() == head:
                break
        spent = record.paid + record.fees + record.refunded + record.charged
        assert record.deposited == spent + held
        seen = (job.deposited_wei, job.paid_wei, job.fees_wei, job.refunded_wei)
        assert seen == (record.deposited, record.paid, record.fees, record.refunded)
        assert job.charged_wei == record.charged
        return job

    def wait(self, what: str, condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
        """Look until the condition is true; its value. Fails with what the daemons said last."""
        give_up = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > give_up:
                pytest.fail(f"{what}: not within {timeout_s:g} s\n{self.last_words()}")
            time.sleep(LOOK_S)
        return value

    def wait_for_end(self, job_id: bytes) -> JobView:
        """The job when it is over and its books are closed."""
        self.wait("the job is settled", lambda: self.job(job_id).settled)
        job = self.job(job_id)
        self.say(f"the job is {job.state}")
        return job

    def check_payment(self, job: JobView) -> None:
        """Every round was paid once: each slot's unit, and each audit that agreed, once."""
        finalized = [event for event in job.log if isinstance(event, on_chain.RoundFinalized)]
        assert [event.round for event in finalized] == list(range(job.open_round))
        paid = {event.round: event.total_wei for event in finalized}
        for round, total_wei in paid.items():
            verified = {
                event.unit_id
                for event in job.log
                if isinstance(event, on_chain.UnitVerified)
                and event.unit_id in self.units_of(job, round)
            }
            assert total_wei == job.slots * job.unit_wei + len(verified) * job.audit_wei
        assert job.paid_wei == sum(paid.values())

    @staticmethod
    def units_of(job: JobView, round: int) -> set[bytes]:
        """The ids of the last unit that was committed for each slot of a round."""
        attempts = {
            claim.slot: claim.attempt
            for event in job.log
            if isinstance(event, on_chain.RoundCommitted) and event.round == round
            for claim in event.claims
        }
        return {
            unit_id(JobId(job.job_id), round, slot, attempt) for slot, attempt in attempts.items()
        }

    def holder(self, job_id: bytes) -> Home:
        """The home of the job's coordinator, as soon as there is one."""
        self.wait("somebody takes the lease", lambda: self.job(job_id).holder)
        return self.home_of(self.job(job_id).holder)

    def last_words(self) -> str:
        """The ends of all logs, for a failure."""
        parts = []
        for home in self.homes:
            log = home.logs / "node.log"
            lines = log.read_text(errors="replace").splitlines()[-12:] if log.exists() else []
            parts += [f"--- {home.path.name} {self.address(home)}", *lines]
        return "\n".join(parts)


@pytest.fixture
def network(tmp_path: Path, devnet: Devnet) -> Iterator[Callable[..., Network]]:
    """Make a network of so many nodes that know each other; more can be added.

    Their daemons are those of `launcher`, by default `ainur` itself.
    """
    with contextlib.ExitStack() as stack:

        def make(count: int, launcher: Sequence[str] = ()) -> Network:
            made = _make(devnet, tmp_path, stack, launcher)
            if count:
                made.start(*made.add(count))
            return made

        yield make


def _make(
    devnet: Devnet, folder: Path, stack: contextlib.ExitStack, launcher: Sequence[str]
) -> Network:
    submitter = devnet.home(folder / "submitter")
    chain = stack.enter_context(devnet.chain())
    # What was pushed last is done first: stop, look for leftovers, leave the chain.
    swarm = Swarm([], launcher, ROOT)
    made = Network(
        devnet, folder, submitter, swarm, chain, LedgerReader(chain), devnet.network, swarm.homes
    )
    stack.callback(_leave_chain, made)
    stack.callback(_check_no_process, folder)
    stack.enter_context(swarm)
    return made


def _leave_chain(network: Network) -> None:
    """Cancel what is open and make the nodes inactive: later tests use the same chain."""
    for home in network.homes:
        network.retire(home)
    signer = network.signer(network.submitter)
    with network.devnet.chain(signer) as chain:
        for job in network.ledger().jobs.values():
            if job.submitter == signer.address and not job.is_over:
                chain.send(chain.escrow.cancel(JobId(job.job_id)))


def processes_of(folder: Path) -> dict[int, str]:
    """The processes whose command line names the folder, by id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words:
                found[int(entry.name)] = words
    return found


def _check_no_process(folder: Path) -> None:
    """Fail if anything that a test started is still there, and end it."""
    give_up = time.monotonic() + 20
    while (left := processes_of(folder)) and time.monotonic() < give_up:
        time.sleep(LOOK_S)
    states = {pid: _state(pid) for pid in left}
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"processes were left behind: {left}; {states}"


def _state(pid: int) -> str:
    """State and parent of a process, for a person who has to find out why it is still there."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return ", ".join(line for line in lines if line.startswith(("State", "PPid")))
    return "gone"
