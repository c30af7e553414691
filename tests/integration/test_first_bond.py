"""From gas alone to a bonded node: a newcomer audits blind until it has earned its first bond."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.links.experience import give_clean_units
from examples.digits.__main__ import Settings, write
from node.chain.types import Parameter
from node.config import set_value
from node.deployment import AIN
from node.devnet import Devnet
from node.network_file import save_network
from tests.integration.conftest import PATIENT

AUDITS = 2
QUICK = replace(
    PATIENT,
    parameters={
        **PATIENT.parameters,
        Parameter.MIN_BOND_WEI: AIN,
        # Commitments are taken for so long after the challenge window.
        Parameter.AUDIT_WINDOW_S: 6,
    },
    first_bonds_pay_wei=AIN // AUDITS,
)
SHORT = Settings(rounds=8, slots=2, steps=3, trace_every=2, price_wei_per_gflop=480 * AIN)


@pytest.fixture(scope="module")
def devnet(tidy_end: None) -> Iterator[Devnet]:
    """A chain on which a bond is worth a few audits, and an audit takes seconds."""
    with Devnet(QUICK) as running:
        yield running


def test_newcomer_without_tokens_earns_its_bond_and_works(
    network: Callable[[int], Any], tmp_path: Path
) -> None:
    """It registers, audits, is killed with a promise open, is paid out, bonds and is active."""
    running = network(0)
    workers = running.add(3)
    newcomer = running.devnet.home(tmp_path / "newcomer", tokens_wei=0)
    save_network(newcomer.network, running.network)
    set_value(newcomer.config, "roles", "work,audit")
    running.homes.append(newcomer)
    account, bonds = running.address(newcomer), running.chain.first_bonds
    give_clean_units(running.devnet, [running.address(home) for home in workers], 1000)
    running.start()
    told = running.ainur(newcomer, "stake", "show")
    assert "`ainur stake earn` earns one without tokens" in told.out
    registered = running.ainur(newcomer, "stake", "earn")
    assert registered.code == 0, registered.err
    assert bonds.registered_count() == 1
    running.submit(write(tmp_path / "job", SHORT))

    running.wait("an audit is promised", lambda: bonds.newcomer_of(account).promised_wei)
    running.swarm.kill(newcomer)
    running.say("the newcomer was killed")
    running.start(newcomer)
    running.wait("it is paid out", lambda: bonds.newcomer_of(account).has_left)
    running.say("the newcomer has earned its bond")
    assert running.chain.token.balance_of(account) == AIN
    assert bonds.newcomer_of(account).audits == AUDITS
    running.wait(
        "it says what is next", lambda: "ainur stake add 1" in running.status(newcomer).activity
    )
    added = running.ainur(newcomer, "stake", "add", "1")
    assert added.code == 0, added.err
    assert running.ainur(newcomer, "stake", "show", "--json").json["active"]
    running.wait("it is active", lambda: running.status(newcomer).active)
    for home in running.homes:
        assert "Traceback" not in (home.logs / "node.log").read_text()
