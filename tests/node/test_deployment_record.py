"""A deployment killed at every step of it, resumed, tampered with; a network from a file."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.chain import Chain
from node.chain.rpc import Rpc
from node.chain.types import Parameter
from node.deployment import DEVNET, deploy
from node.deployment_record import Record, Site, read_record
from node.devnet import CHAIN_ID, PASSWORD, Devnet
from node.errors import BadInput, NodeError
from node.network_file import NetworkFile, load_network
from node.wallet import Signer, store_wallet

STEPS = 20
ROOT = Path(__file__).parents[2]


class Killed(BaseException):
    """What the process does not survive; all that it leaves is its file."""


@pytest.fixture
def deployer(devnet: Devnet) -> Signer:
    signer = Signer.random()
    devnet.give_gas(signer.address)
    return signer


def run(devnet: Devnet, deployer: Signer, record: Path | None, **changes: Any) -> NetworkFile:
    arguments = {"name": "own", "poll_s": 0.01, "record": record, **changes}
    preset = arguments.pop("preset", DEVNET)
    return deploy(
        [devnet.endpoint], CHAIN_ID, deployer, devnet.treasury.address, preset, **arguments
    )


def sent(devnet: Devnet, account: Signer) -> int:
    return int(devnet._rpc.request("eth_getTransactionCount", account.address, "latest"), 16)


def stop_before(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The next process dies before it sends its transaction number `count`."""
    real, offered = Rpc.request, 0

    def mortal(rpc: Rpc, method: str, *parameters: object, **more: Any) -> Any:
        nonlocal offered
        if method == "eth_sendRawTransaction":
            offered += 1
            if offered == count:
                raise Killed
        return real(rpc, method, *parameters, **more)

    monkeypatch.setattr(Rpc, "request", mortal)


def test_killed_three_times_at_every_step_nothing_is_deployed_twice(
    devnet: Devnet, deployer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is on record, before it is sent, after it was sent: the next run goes on."""
    real_note, real_request = Site._note, Rpc.request
    died: set[tuple[str, object]] = set()

    def die_once(when: str, what: object) -> None:
        if (when, what) not in died:
            died.add((when, what))
            raise Killed

    def note(site: Site, name: str, step: Any) -> None:
        die_once("before it is on record", name)
        real_note(site, name, step)

    def request(rpc: Rpc, method: str, *parameters: object, **more: Any) -> Any:
        if method != "eth_sendRawTransaction":
            return real_request(rpc, method, *parameters, **more)
        die_once("before it is sent", parameters)
        answer = real_request(rpc, method, *parameters, **more)
        die_once("after it was sent", parameters)
        return answer

    monkeypatch.setattr(Site, "_note", note)
    monkeypatch.setattr(Rpc, "request", request)
    record, network, runs = tmp_path / "record.json", None, 0
    while network is None:
        runs += 1
        try:
            network = run(devnet, deployer, record)
        except Killed:
            continue
    assert runs == 3 * STEPS + 1
    assert sent(devnet, deployer) == STEPS
    assert run(devnet, deployer, record) == network
    assert sent(devnet, deployer) == STEPS
    with Chain(network) as chain:
        assert chain.parameters.all() == dict(DEVNET.parameters)
        assert chain.vault.active_count() == 0


def test_a_nonce_that_another_program_took_is_signed_anew(
    devnet: Devnet, deployer: Signer, tmp_path: Path
) -> None:
    """What was on record can never be mined, so it is not waited for."""
    record = tmp_path / "record.json"
    with pytest.MonkeyPatch.context() as mortal:
        stop_before(mortal, 3)
        with pytest.raises(Killed):
            run(devnet, deployer, record)
    with devnet.chain(deployer) as chain:
        chain.send(chain.payment(deployer.address, 0))
    run(devnet, deployer, record)
    assert sent(devnet, deployer) == STEPS + 1


def test_only_the_code_of_this_release_is_taken_over(
    devnet: Devnet, deployer: Signer, tmp_path: Path
) -> None:
    """A record of other values, of another key, or with another contract's transaction."""
    path = tmp_path / "record.json"
    run(devnet, deployer, path)
    record = read_record(path)
    assert record is not None
    names = {name[3:]: name for name in record.steps}

    def resume(changed: Record, signer: Signer = deployer, **changes: Any) -> Any:
        path.write_text(changed.model_dump_json())
        return run(devnet, signer, path, **changes)

    swapped = dict(record.steps)
    swapped[names["new JobEscrow"]] = record.steps[names["new BondVault"]]
    with pytest.raises(NodeError, match="another transaction than this release would send"):
        resume(record.model_copy(update={"steps": swapped}))
    with pytest.raises(BadInput, match="the key is that of"):
        resume(record, Signer.random())
    other = {**DEVNET.parameters, Parameter.LEASE_S: 21}
    with pytest.raises(BadInput, match="another configuration"):
        resume(record, preset=type(DEVNET)(**{**_fields(DEVNET), "parameters": other}))
    path.write_text("{}")
    with pytest.raises(BadInput, match="is no deployment record: plan"):
        run(devnet, deployer, path)


def _fields(preset: Any) -> dict[str, Any]:
    return {name: getattr(preset, name) for name in preset.__dataclass_fields__}


CONFIG = """
name = "mine"
chain_id = 31337
rpc_endpoints = ["{endpoint}"]
treasury = "{treasury}"
preset = "devnet"
[rules]
timelock_s = 77
[parameters]
auditFloorBps = 700
"""


def test_from_a_file_through_kill_9_to_a_network(
    ainur: Callable[..., Any], devnet: Devnet, deployer: Signer, tmp_path: Path
) -> None:
    """A real process is killed in the middle; the same command ends it and writes the file."""
    file, password = tmp_path / "mine.toml", tmp_path / "password"
    treasury = devnet.treasury.address
    file.write_text(CONFIG.format(endpoint=devnet.endpoint, treasury=treasury))
    password.write_text(PASSWORD)
    store_wallet(tmp_path, "key", deployer, PASSWORD, devnet=True)
    command = ("deploy", file, "--key", tmp_path / "key.json", "--password-file", password)
    child = subprocess.Popen(
        [sys.executable, "-m", "node.cli.main", *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert child.stderr is not None
    while not child.stderr.readline().startswith("04 "):
        assert child.poll() is None
    child.kill()
    child.wait()
    child.stderr.close()
    assert not (tmp_path / "mine.network.json").exists()

    done = ainur(*command, "--json")
    assert done.code == 0, done.err
    assert "checked 48 seats, roles and values" in done.err
    assert sent(devnet, deployer) == STEPS
    network = load_network(tmp_path / "mine.network.json")
    assert json.loads(done.out)["contracts"] == network.contracts.model_dump()
    with Chain(network) as chain:
        assert chain.parameters.get(Parameter.AUDIT_FLOOR_BPS) == 700
        assert chain.token.balance_of(treasury) == DEVNET.supply_wei


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"mine"', "mine", "is not TOML"),
        ("auditFloorBps", "auditFlorBps", "There is no parameter 'auditFlorBps'"),
        ("timelock_s", "parameters", "There is no rule 'parameters'"),
        ("= 700", "= -1", "parameters.auditFloorBps"),
        ("= 31337", "= 0", "chain_id"),
        ('preset = "devnet"', 'preset = "own"', "preset"),
        ("name =", "nme =", "name"),
        ("= 700", "= 1", "OutOfBounds"),
    ],
)
def test_a_wrong_file_is_explained(
    ainur: Callable[..., Any],
    devnet: Devnet,
    deployer: Signer,
    tmp_path: Path,
    old: str,
    new: str,
    reason: str,
) -> None:
    """The field and the rule; what only the contracts know, when they are asked."""
    file, key = tmp_path / "mine.toml", tmp_path / "key"
    text = CONFIG.format(endpoint=devnet.endpoint, treasury=devnet.treasury.address)
    file.write_text(text.replace(old, new))
    key.write_text(deployer._account.key.hex())
    outcome = ainur("deploy", file, "--key", key)
    assert outcome.code in (2, 9)
    assert reason in outcome.err


def test_the_example_is_a_file_but_for_its_dots(ainur: Callable[..., Any], tmp_path: Path) -> None:
    """What is printed needs an endpoint and a treasury, and no more."""
    from node.deployment_config import load_deployment

    example = ainur("deploy", "--example").out
    file = tmp_path / "example.toml"
    file.write_text(example.replace("https://...", "https://x").replace("0x...", "0x" + "1" * 40))
    assert load_deployment(file).start().timelock_s > 0
    assert ainur("deploy").code == 2
