"""The home folder: where one node keeps everything that is its own.

    ~/.ainur/
        config.toml      settings (node/config.py)
        network.json     the network to join (node/network_file.py)
        peer.key         the seed of the libp2p identity (node/identity.py)
        wallets/         encrypted keys (node/wallet.py)
        store/           blobs, addressed by content
        journal.db       what the daemon must not forget
        device-fault.json  wrong bits that a device returned (node/device_fault.py)
        api.json         what a running daemon tells the command line: port and token (node/api.py)
        logs/            the daemon's log files

Owns the layout and nothing else: each file's format belongs to the module named beside it. The
folder is chosen by `--home`, else by AINUR_HOME, else it is `~/.ainur`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "AINUR_HOME"
DEFAULT_HOME = Path("~/.ainur")


@dataclass(frozen=True, slots=True)
class Home:
    """The paths under one home folder. Nothing is created by asking for them."""

    path: Path

    @classmethod
    def find(cls, chosen: Path | str | None = None) -> "Home":
        """The home folder `chosen`, else that of AINUR_HOME, else the default; made absolute."""
        folder = Path(chosen or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
        return cls(Path(os.path.abspath(folder.expanduser())))

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def network(self) -> Path:
        return self.path / "network.json"

    @property
    def peer_key(self) -> Path:
        return self.path / "peer.key"

    @property
    def wallets(self) -> Path:
        return self.path / "wallets"

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def journal(self) -> Path:
        return self.path / "journal.db"

    @property
    def events(self) -> Path:
        return self.path / "events.db"

    @property
    def api(self) -> Path:
        return self.path / "api.json"

    @property
    def device_fault(self) -> Path:
        return self.path / "device-fault.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"
