"""The demonstration: the whole path on one machine, every part of it real.

A local chain, five daemons, one of which cheats, a job through the command line, audits, a slash,
claims, a vote. This module drives; it knows no more than a stranger with the network file would:
who cheats is sealed by `examples.one_cheater` and read only after the chain has convicted somebody.
Any step that does not succeed raises, so that the demonstration cannot end well by accident.
"""

import contextlib
import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.backend import open_backend
from engine.commitment import state_root
from node.bundle import assemble
from node.chain.types import ProposalState
from node.chain_jobs import LedgerReader, find_job
from node.cli.main import run as run_command
from node.config import set_value
from node.devnet import Devnet
from node.errors import JobFailed, NodeError
from node.governance import parse_parameter
from node.home import Home
from node.identity import load_seed, peer_id_from_key
from node.interrupts import postponed_interrupts
from node.ledger import Ledger
from node.local_chain import project_folder
from node.network_file import save_network
from node.replay import replay
from node.swarm import Swarm
from node.wallet import list_wallets

WEI = 10**18
NODES = 5
BOND_WEI = 110 * WEI
"""It covers the locks of a round's eight units, and one that is lost takes a node below the least
bond of the devnet: who cheats is out."""

ACCURACY_MIN = 0.95
PARAMETER, VALUE = "auditFloorBps", "500"

Say = Callable[[str], None]
ShowProgress = Callable[[dict[str, object], "Demo"], None]


@dataclass(frozen=True, slots=True)
class Participant:
    """What one node did, as the chain tells it."""

    name: str
    wallet: str
    role: str
    units: int
    audits: int
    gflop: float
    earned_wei: int
    claimed_wei: int
    slashed_wei: int


@dataclass(slots=True)
class Report:
    """What came out; every figure is read from the chain, the replay or a file."""

    job_id: str = ""
    accuracy: float = 0.0
    final_loss: float = 0.0
    checkpoint: str = ""
    replay_checkpoint: str = ""
    units: int = 0
    audited: int = 0
    faults: int = 0
    slashed_wei: int = 0
    claimed_wei: int = 0
    refunded_wei: int = 0
    proposal_state: str = ""
    parameter: str = ""
    seconds: float = 0.0
    artefacts: dict[str, str] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    participants: list[Participant] = field(default_factory=list)


class Demo:
    """One run under `folder`, which must be new. Call `run` once."""

    def __init__(self, folder: Path, say: Say, show_progress: ShowProgress) -> None:
        self.folder = folder
        self.report = Report()
        self.swarm: Swarm | None = None
        self.say, self._show_progress = say, show_progress
        self._root = project_folder()
        self._job_file = folder / "job" / "job.toml"
        self._started_at = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demonstration began."""
        return time.monotonic() - self._started_at

    def note_loss(self, loss: float | None) -> None:
        """Extend the loss curve by a value, if it is a new one."""
        if loss is not None and self.report.losses[-1:] != [loss]:
            self.report.losses.append(loss)

    def run(self) -> Report:
        """All steps in order; NodeError names the first that failed."""
        (self.folder / "logs").mkdir(parents=True)
        self._replay()
        self.say("starting a local chain and deploying the contracts")
        with Devnet(log=self.folder / "logs" / "chain.log") as devnet:
            homes, submitter, treasury = self._make_homes(devnet)
            seal = self.folder / "sealed-cheater.json"
            launcher = [sys.executable, "-m", "examples.one_cheater", "--seal", str(seal)]
            self._module("examples.one_cheater", "draw", "--seal", seal, *(h.path for h in homes))
            with Swarm(homes, launcher, self._root) as swarm:
                self.swarm = swarm
                self._start_nodes(homes)
                self._train(devnet, submitter)
                self._check_conviction(devnet, seal)
                self._download(submitter)
                self._compare()
                self._claim(devnet, homes)
                self._govern(devnet, treasury)
                self._settled(devnet)
            self._summarise(devnet, homes)
        self.report.seconds = round(self.elapsed_s, 1)
        return self.report

    # --- Steps

    def _replay(self) -> None:
        """Run the whole job alone, in this process, first: it builds the device's kernels too."""
        self.say("building the job and running all of it in this one process, for comparison")
        self._module("examples.digits", "--out", self.folder / "job")
        replayed = replay(assemble(self._job_file).job, open_backend())
        report = self.report
        report.replay_checkpoint = state_root(replayed.state).hex()
        report.accuracy = round(replayed.metrics["accuracy"], 4)
        report.final_loss = round(replayed.metrics["loss"], 4)
        if report.accuracy < ACCURACY_MIN:
            raise NodeError(f"Accuracy {report.accuracy} is below {ACCURACY_MIN}.")
        self.say(
            f"alone: accuracy {report.accuracy:.2%} on a held-out fifth, "
            f"checkpoint {report.replay_checkpoint[:16]}..."
        )

    def _make_homes(self, devnet: Devnet) -> tuple[list[Home], Home, Home]:
        homes = [
            devnet.home(self.folder / f"node-{number}", bond_wei=BOND_WEI)
            for number in range(1, NODES + 1)
        ]
        submitter = devnet.home(self.folder / "submitter")
        treasury = devnet.treasury_home(self.folder / "treasury")
        port = _free_port()
        set_value(homes[0].config, "listen_port", str(port))
        peer_id = peer_id_from_key(load_seed(homes[0].peer_key))
        network = devnet.network.with_bootstrap(f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id}")
        for home in (*homes, submitter, treasury):
            save_network(home.network, network)
        self.say(f"{NODES} nodes have homes, keys, wallets and bonds of {BOND_WEI // WEI} AIN")
        return homes, submitter, treasury

    def _start_nodes(self, homes: Sequence[Home]) -> None:
        assert self.swarm is not None
        self.say(f"starting {NODES} node daemons; one of them cheats, nobody here knows which")
        for home in homes:
            self.swarm.start(home)
        self.swarm.wait_until_up(peers=NODES - 1)
        devices = {status.device for home in homes if (status := self.swarm.status(home))}
        self.say(f"they found each other over libp2p; devices: {', '.join(sorted(devices))}")

    def _train(self, devnet: Devnet, submitter: Home) -> None:
        self.report.losses.clear()
        self.say("submitting the job; afterwards its submitter is offline")
        answer = json.loads(
            self._command(submitter, "job", "submit", str(self._job_file), "--json")
        )
        self.report.job_id = str(answer["job_id"]).removeprefix("0x")
        self.say(f"job {self.report.job_id[:12]} is held by {len(answer['held_by'])} peers")
        self._watch(submitter)
        with devnet.chain() as chain:
            job = find_job(LedgerReader(chain).update(), self.report.job_id)
        last = job.finalized[job.rounds - 1]
        self.report.checkpoint = last.checkpoint.hex()
        self.report.units = job.rounds * job.slots

    def _watch(self, submitter: Home) -> None:
        """Follow the job through `ainur job watch`, as anyone could."""
        command = [sys.executable, "-m", "node.cli.main", "job", "watch", self.report.job_id]
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((self.folder / "logs" / "watch.log").open("wb"))
            with postponed_interrupts():  # who is started is also ended
                process = stack.enter_context(
                    subprocess.Popen(
                        [*command, "--json", "--home", str(submitter.path)],
                        cwd=self._root,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        start_new_session=True,
                    )
                )
                stack.callback(process.kill)
            assert process.stdout is not None
            for line in process.stdout:
                self._show_progress(json.loads(line), self)
            if process.wait() != 0:
                raise JobFailed(f"The job was not completed; see {log.name}.")

    def _check_conviction(self, devnet: Devnet, seal: Path) -> None:
        """Whom the chain convicted, compared with the seal that is opened only now."""
        with devnet.chain() as chain:
            ledger = LedgerReader(chain).update()
        convicted = [a for a, tally in ledger.accounts.items() if tally.slashed_wei]
        home = Path(json.loads(seal.read_text())["cheater"])
        cheater = list_wallets(home / "wallets")[0].address
        if convicted != [cheater]:
            raise NodeError(f"The audits convicted {convicted or 'nobody'}; {cheater} cheated.")
        self.say(
            f"the audits convicted {home.name} ({cheater}), wrong results: "
            f"{ledger.tally(cheater).faults}; the sealed draw says the same. "
            f"Slashed: {ledger.slashed_wei / WEI:g} AIN"
        )

    def _download(self, submitter: Home) -> None:
        weights = self.folder / "weights.safetensors"
        self._command(submitter, "job", "get", self.report.job_id, "--out", str(weights))
        self.report.artefacts["weights"] = str(weights)

    def _compare(self) -> None:
        """The network's last checkpoint against that of the replay."""
        report = self.report
        if report.replay_checkpoint != report.checkpoint:
            raise NodeError(
                f"The network's checkpoint {report.checkpoint} is not the replay's "
                f"{report.replay_checkpoint}."
            )
        self.say(f"the network's checkpoint is the replay's: {report.checkpoint[:16]}...")

    def _claim(self, devnet: Devnet, homes: Sequence[Home]) -> None:
        self.say("claiming rewards")
        with devnet.chain() as chain:
            earned = LedgerReader(chain).update()
        for home in homes:
            # All jobs of a demonstration are paid in AIN.
            if earned.tally(_wallet(home)).earned.total():
                self._command(home, "rewards", "claim")

    def _govern(self, devnet: Devnet, treasury: Home) -> None:
        """One proposal from idea to effect, with the chain's time travel."""
        self.say(f"governance: delegate, propose {PARAMETER} = {VALUE}, vote, queue, execute")
        self._command(treasury, "gov", "delegate")
        devnet.travel(2)
        why = "Audit less once workers have proven themselves."
        answer = self._command(
            treasury, "gov", "propose", "set", PARAMETER, VALUE, "--description", why, "--json"
        )
        proposal = str(json.loads(answer)["id"])
        self._travel_until(devnet, lambda p: p.state is ProposalState.ACTIVE, proposal)
        self._command(treasury, "gov", "vote", proposal, "for")
        self._travel_until(devnet, lambda p: p.state is ProposalState.SUCCEEDED, proposal)
        self._command(treasury, "gov", "queue", proposal)
        self._travel_until(devnet, lambda p: p.eta <= p.now, proposal)
        self._command(treasury, "gov", "execute", proposal)
        self._read_effect(devnet, proposal)

    def _travel_until(
        self, devnet: Devnet, reached: Callable[["_ProposalNow"], bool], proposal: str
    ) -> None:
        number = int(proposal, 16)
        for _ in range(20):
            with devnet.chain() as chain:
                now = _ProposalNow(
                    state=chain.governor.state(number),
                    eta=chain.governor.eta(number),
                    now=chain.head().timestamp,
                )
            if reached(now):
                return
            devnet.travel(30)
        raise NodeError(f"Proposal {proposal} stays {now.state.name}.")

    def _read_effect(self, devnet: Devnet, proposal: str) -> None:
        with devnet.chain() as chain:
            state = chain.governor.state(int(proposal, 16))
            value = chain.parameters.get(parse_parameter(PARAMETER))
        if state is not ProposalState.EXECUTED or value != int(VALUE):
            raise NodeError(f"The proposal is {state.name}, {PARAMETER} is {value}.")
        self.report.proposal_state = state.name.lower()
        self.report.parameter = f"{PARAMETER} = {value}"

    def _settled(self, devnet: Devnet) -> None:
        """Wait until the coordinator has refunded what the job did not cost."""
        give_up = time.monotonic() + 30
        with devnet.chain() as chain:
            reader = LedgerReader(chain)
            while not find_job(reader.update(), self.report.job_id).settled:
                if time.monotonic() > give_up:
                    raise NodeError("The job was not settled within 30 s.")
                time.sleep(0.2)

    def _summarise(self, devnet: Devnet, homes: Sequence[Home]) -> None:
        with devnet.chain() as chain:
            ledger = LedgerReader(chain).update()
        job = find_job(ledger, self.report.job_id)
        spent = job.paid_wei + job.fees_wei + job.charged_wei
        held = job.deposited_wei - spent - job.refunded_wei
        if held:
            raise NodeError(f"The escrow still holds {held} wei of a settled job.")
        report = self.report
        report.audited = sum(ledger.verdicts.values()) - ledger.verdicts["disputed"]
        report.faults = ledger.verdicts["faulted"]
        report.slashed_wei = ledger.slashed_wei
        report.claimed_wei = sum(tally.claimed.total() for tally in ledger.accounts.values())
        report.refunded_wei = job.refunded_wei
        manifest = assemble(self._job_file).manifest
        report.participants = [
            _participant(home, ledger, job.holder, manifest.unit_flops) for home in homes
        ]
        report.artefacts |= {
            "job": str(self.folder / "job"),
            "logs": str(self.folder / "logs"),
            "homes": str(self.folder / "node-*"),
        }

    # --- Helpers

    def _module(self, module: str, *arguments: object) -> None:
        """Run a module of the repository that is no part of the product."""
        done = subprocess.run(
            [sys.executable, "-m", module, *(str(argument) for argument in arguments)],
            cwd=self._root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NodeError(f"{module} failed: {done.stderr.strip()[-500:]}")

    def _command(self, home: Home, *arguments: str) -> str:
        """Run a command of `ainur` as the owner of a home would; its standard output."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_command([*arguments, "--home", str(home.path)])
        if code:
            raise NodeError(f"ainur {' '.join(arguments)}: exit {code}: {err.getvalue().strip()}")
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class _ProposalNow:
    state: ProposalState
    eta: int
    now: int


def _participant(home: Home, ledger: Ledger, holder: str, unit_flops: int) -> Participant:
    wallet = _wallet(home)
    tally = ledger.tally(wallet)
    role = "coordinator" if wallet == holder else "worker"
    return Participant(
        name=home.path.name,
        wallet=wallet,
        role="cheater" if tally.slashed_wei else role,
        units=tally.units,
        audits=tally.audits,
        gflop=tally.units * unit_flops / 1e9,
        earned_wei=tally.earned.total(),
        claimed_wei=tally.claimed.total(),
        slashed_wei=tally.slashed_wei,
    )


def _wallet(home: Home) -> str:
    return list_wallets(home.wallets)[0].address


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
