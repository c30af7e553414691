"""Real daemons on a chain of their own, as the churn scenarios need them: killed, slow, late, lost.

Every daemon is `ainur node start` in a process of its own; only its compute worker is the one that
writes down when it computes (benchmarks/churn/worker.py). What happened is read from the chain and
from those records.
"""

import contextlib
import io
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.churn.worker import UNITS_VARIABLE, note
from node.chain import Chain
from node.chain.types import Parameter
from node.chain_jobs import LedgerReader
from node.cli.devnet import free_port
from node.cli.main import run as run_command
from node.config import set_value
from node.deployment import AIN, DEVNET
from node.devnet import Devnet
from node.errors import NodeError
from node.home import Home
from node.identity import load_seed, peer_id_from_key
from node.ledger import JobView
from node.local_chain import project_folder
from node.network_file import NetworkFile, save_network
from node.swarm import Swarm
from node.wallet import find_wallet

BOND_WEI = 2_000 * AIN
"""Nobody is put out by one missed opening: the point here is the digest."""

LOOK_S = 0.2
LAUNCHER = (sys.executable, "-m", "benchmarks.churn.node")
WORKER = "benchmarks.churn.worker"

PRESET = replace(
    DEVNET,
    parameters={
        **DEVNET.parameters,
        # Eight nodes share two cores: a restart takes half a minute, an audit ten seconds. Who is
        # killed comes back before its lease and its audits are over, as on a public network.
        Parameter.LEASE_S: 60,
        Parameter.AUDIT_WINDOW_S: 60,
        Parameter.OPEN_WINDOW_S: 45,
        Parameter.UNBOND_DELAY_S: 800,
    },
)


@dataclass(slots=True)
class Network:
    """The homes of one run and their daemons. Made by `open_network`."""

    devnet: Devnet
    folder: Path
    submitter: Home
    swarm: Swarm
    chain: Chain
    reader: LedgerReader
    network: NetworkFile
    started_at: float
    restarts_s: list[float] = field(default_factory=list)
    """How long each daemon that was started again took until it answered."""
    _environments: dict[Path, Mapping[str, str]] = field(default_factory=dict)
    _restarting: dict[Path, float] = field(default_factory=dict)

    @property
    def homes(self) -> list[Home]:
        """All homes, also of daemons that do not run."""
        return self.swarm.homes

    def say(self, text: str) -> None:
        """One line about what happened, with the seconds since the run began, on stderr."""
        elapsed_s = time.monotonic() - self.started_at
        print(f"[{elapsed_s:6.1f} s] {text}", file=sys.stderr, flush=True)

    def add(self, environment: Mapping[str, str] | None = None) -> Home:
        """One more bonded home, whose daemon gets `environment` on top of ours."""
        home = self.devnet.home(self.folder / f"node-{len(self.homes)}", bond_wei=BOND_WEI)
        if not self.homes:
            self._be_bootstrap(home)
        save_network(home.network, self.network)
        self._environments[home.path] = {
            "AINUR_WORKER_MODULE": WORKER,
            UNITS_VARIABLE: str(units_file(home)),
            **(environment or {}),
        }
        self.homes.append(home)
        return home

    def launch(self, home: Home) -> None:
        """Start a daemon without waiting."""
        self.swarm.start(home, self._environments[home.path])

    def kill(self, home: Home, restart: bool) -> None:
        """Kill -9 a daemon, and start it again at once or never."""
        self.swarm.kill(home)
        note(units_file(home), event="killed")
        if restart:
            self._restarting[home.path] = time.monotonic()
            self.launch(home)

    def look(self, job_id: bytes) -> JobView:
        """The job now, after a short pause; NodeError where a daemon has ended by itself."""
        time.sleep(LOOK_S)
        self.devnet.require_running()
        for child in self.swarm.ended():
            raise NodeError(f"The node {child.name} ended: {child.last_words()}")
        for home in self.homes:
            if home.path in self._restarting and self.swarm.status(home) is not None:
                took_s = time.monotonic() - self._restarting.pop(home.path)
                self.restarts_s.append(took_s)
        return self.reader.update().jobs[job_id]

    def submit(self, file: Path) -> bytes:
        """Submit a job through the command line; its id."""
        out, err = io.StringIO(), io.StringIO()
        words = ["job", "submit", str(file), "--json", "--home", str(self.submitter.path)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_command(words)
        if code:
            raise NodeError(f"ainur job submit: exit {code}: {err.getvalue().strip()}")
        job_id = bytes.fromhex(str(json.loads(out.getvalue())["job_id"]).removeprefix("0x"))
        self.reader.update()
        return job_id

    def address(self, home: Home) -> str:
        """The wallet of a home."""
        return find_wallet(home.wallets, "default").address

    def home_of(self, wallet: str) -> Home:
        """The home of a wallet."""
        return next(home for home in self.homes if self.address(home) == wallet)

    def _be_bootstrap(self, home: Home) -> None:
        port = free_port()
        set_value(home.config, "listen_port", str(port))
        peer_id = peer_id_from_key(load_seed(home.peer_key))
        address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id}"
        self.network = self.network.with_bootstrap(address)
        save_network(self.submitter.network, self.network)


def units_file(home: Home) -> Path:
    """Where the compute worker of a home writes down when it computes."""
    return home.path / "units.jsonl"


@contextlib.contextmanager
def open_network(folder: Path) -> Iterator[Network]:
    """A chain, a submitter and no nodes yet; all processes end with the context."""
    with ExitStack() as stack:
        devnet = stack.enter_context(Devnet(PRESET, log=folder / "chain.log"))
        submitter = devnet.home(folder / "submitter")
        chain = stack.enter_context(devnet.chain())
        swarm = stack.enter_context(Swarm([], LAUNCHER, project_folder()))
        yield Network(
            devnet,
            folder,
            submitter,
            swarm,
            chain,
            LedgerReader(chain),
            devnet.network,
            time.monotonic(),
        )
        for home in swarm.running():
            note(units_file(home), event="stopped")
