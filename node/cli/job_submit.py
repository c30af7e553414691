"""What a job would cost and how long it would take; funding it and handing it to peers."""

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import trio

from node.blobs import BlobStore
from node.bundle import Bundle
from node.chain import Chain
from node.chain.types import Parameter
from node.chain_jobs import LedgerReader
from node.cli.desk import Desk
from node.cli.output import ain, note
from node.cli.session import open_chain, open_network
from node.client import Client, open_client
from node.errors import NodeError, PeerUnreachable
from node.home import Home
from node.network_file import NetworkFile
from node.quote import Forecast, Offer, Quote, forecast, integers_read, quote
from node.submission import (
    HOLDERS_WANTED,
    check_memory,
    check_not_repeated,
    earlier_job,
    fund_calls,
    funded_by,
    require_funds,
    terms_of,
)
from node.tokens import AIN, Accepted, Token
from scheduler.manifest import GFLOP

PEERS_ASKED = 64
LOOK_S = 6.0
WORKS = "work"
"""The role of a hello whose peer computes units."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quote in a token, and with a home a forecast; `why_none` says why there is none."""

    price: Quote
    forecast: Forecast | None
    why_none: str
    token: Token = AIN


def price_job(bundle: Bundle, home: Home | None, accepted: Accepted) -> Quote:
    """The exact figures: with the network's rates, or with free audits and no fee."""
    if home is None:
        return quote(bundle.manifest, bundle.job.costs, unit_wei=bundle.unit_wei)
    with open_chain(home) as chain:
        return _priced(bundle, chain, accepted)


def quote_job(bundle: Bundle, home: Home | None, accepted: Accepted) -> Quoted:
    """The exact figures and how long the job takes with the peers now online."""
    if home is None:
        price = price_job(bundle, None, accepted)
        return Quoted(price, None, "this is no home, so there is no network", accepted.token)
    with open_chain(home) as chain:
        price = _priced(bundle, chain, accepted)
        window_s = chain.parameters.get(Parameter.CHALLENGE_WINDOW_S)
        try:
            offers = trio.run(_ask_offers, open_network(home), chain)
        except NodeError as error:
            return Quoted(price, None, error.message, accepted.token)
    offers = [offer for offer in offers if offer.works_for(accepted.token)]
    found = forecast(bundle.manifest, offers, window_s, price.lock_wei)
    return Quoted(price, found, "", accepted.token)


def _priced(bundle: Bundle, chain: Chain, accepted: Accepted) -> Quote:
    rates = chain.parameters.all()
    return quote(
        bundle.manifest,
        bundle.job.costs,
        audit_pay_bps=rates[Parameter.AUDIT_PAY_BPS],
        protocol_fee_bps=rates[Parameter.PROTOCOL_FEE_BPS],
        data_deposit_bps=rates[Parameter.DATA_DEPOSIT_BPS],
        lock_factor_bps=rates[Parameter.LOCK_FACTOR_BPS],
        audit_floor_bps=rates[Parameter.AUDIT_FLOOR_BPS],
        unit_wei=bundle.unit_wei,
        accepted=accepted,
    )


async def _ask_offers(network: NetworkFile, chain: Chain) -> list[Offer]:
    with tempfile.TemporaryDirectory(prefix="ainur-quote-") as folder:
        async with open_client(network, BlobStore(Path(folder) / "store")) as client:
            await client.find_peers(PEERS_ASKED, LOOK_S)
            return await trio.to_thread.run_sync(_offers, client, chain)


def _offers(client: Client, chain: Chain) -> list[Offer]:
    """What the bonded peers that answer and work say of themselves, one offer a wallet."""
    peers = (client.book.get(peer_id) for peer_id in client.transport.connected())
    hellos = {p.hello.wallet: p.hello for p in peers if p is not None and WORKS in p.hello.roles}
    return [
        Offer(
            wallet,
            hello.memory_bytes,
            hello.mflops,
            chain.vault.free_of(wallet),
            hello.accepted_tokens,
        )
        for wallet, hello in sorted(hellos.items())
        if chain.vault.is_active(wallet)
    ]


async def _offers_for(client: Client, chain: Chain, token: Token) -> list[Offer]:
    """The offers of who works for a token; looks farther if that is nobody, then says so."""
    for again in (False, True):
        if again:
            await client.find_peers(PEERS_ASKED, LOOK_S)
        offers = await trio.to_thread.run_sync(_offers, client, chain)
        found = [offer for offer in offers if offer.works_for(token)]
        if found or token.is_ain:
            return found
    note(
        f"none of the {len(offers)} peers that work and answered does so for {token.name}: the job "
        "waits until one comes; `ainur job cancel` brings the money back"
    )
    return []


def quote_document(bundle: Bundle, quoted: Quoted) -> dict[str, object]:
    """The whole quote as JSON; amounts in smallest units of the token, times in seconds."""
    manifest = bundle.manifest
    return (
        {"name": manifest.name}
        | dataclasses.asdict(quoted.price)
        | {
            "token": quoted.token.document(),
            "integers_read": integers_read(manifest, bundle.job.train.types),
            "unit_seconds_at_1_gflops": _unit_seconds(quoted.price),
            "forecast": dataclasses.asdict(quoted.forecast) if quoted.forecast else None,
            "no_forecast": quoted.why_none or None,
        }
    )


def quote_fields(bundle: Bundle, quoted: Quoted) -> dict[str, str | int]:
    """The whole quote as people read it."""
    manifest, price, amount = bundle.manifest, quoted.price, quoted.token.amount
    return {
        "job": manifest.name,
        "units": f"{price.units} ({manifest.rounds} rounds of {manifest.slots} slots)",
        "a unit": f"{price.unit_flops:,} FLOPs, {price.unit_bytes_moved:,} bytes moved",
        "all units": f"{price.total_flops:,} FLOPs; {price.total_flops_max:,} if all are audited",
        **_reads(bundle, price),
        "memory": f"{price.peak_bytes:,} bytes at most on a device",
        "to fetch": f"{price.blob_bytes:,} bytes per peer",
        "least peer": (
            f"gives {price.memory_bytes:,} bytes; a device that passes `ainur doctor` at "
            f"{price.unit_gflops_per_s_min:.3g} GFLOP/s ends a unit in {manifest.unit_timeout_s} s"
        ),
        "price": f"{amount(price.unit_wei)} a unit, {amount(price.audit_wei)} an audit",
        "a verified GFLOP": quoted.token.per_gflop(price.gflop_wei),
        **({} if quoted.token.is_ain else {"paid in": _paid_in(quoted)}),
        "lock": _lock(manifest.slots, quoted),
        "deposit": f"{amount(price.total_wei_max)}; what is not earned comes back",
        "for its data": f"{amount(price.data_wei)} of it, lost if the data is not to be had",
        "budget": amount(bundle.budget_wei),
        "peers": (
            f"{price.peers_min} to run, {price.peers_audited} to be audited, "
            f"{price.peers_judged} for a committee"
        ),
        "online": _online(manifest.memory_bytes, quoted),
        "time": _time(quoted),
    }


def _paid_in(quoted: Quoted) -> str:
    """That only some nodes work for it, what locks make of it, and what is rounded."""
    token = quoted.token
    return (
        f"{token.name}: by nodes whose accepted_tokens name it; for locks a unit counts as "
        f"{ain(quoted.price.unit_value_wei)}; no price is finer than {token.amount(1)}"
    )


def _lock(slots: int, quoted: Quoted) -> str:
    """What answers for a unit, and whether the bonds of those online suffice for a round."""
    each = (
        f"{ain(quoted.price.lock_wei)} of its worker's bond for each unit until its round is final"
    )
    if quoted.forecast is None:
        return each
    covered = quoted.forecast.units_covered
    short = "" if covered >= slots else f", fewer than a round's {slots}: rounds take longer"
    return f"{each}; the bonds online cover {covered} at once{short}"


def _reads(bundle: Bundle, price: Quote) -> dict[str, str]:
    """The rows that steps read, and the integers in them."""
    manifest = bundle.manifest
    times = price.rows_read / manifest.rows
    rows = f"{price.rows_read:,} rows read, each of {manifest.rows:,} {times:.2f} times on average"
    if price.rows_unread:
        rows += f"; the last {price.rows_unread} never, they are less than a batch"
    read = integers_read(manifest, bundle.job.train.types)
    tokens = ", ".join(f"{count:,} of {name}" for name, count in read.items())
    return {"data": rows} | ({"tokens": f"{tokens}, if these are token ids"} if tokens else {})


def _online(needed: int, quoted: Quoted) -> str:
    found = quoted.forecast
    if found is None:
        return f"nobody was reached: {quoted.why_none}"
    if found.peers == 0 and not quoted.token.is_ain:
        return f"no peer works for {quoted.token.symbol} now"
    if found.able == 0:
        return (
            f"{found.peers} peers work, none gives {needed:,} bytes; "
            f"the largest gives {found.memory_bytes_max:,}"
        )
    speed = f"{found.gflops_per_s:.3g} GFLOP/s together on the last units of {found.measured}"
    return f"{found.peers} peers work, {found.able} of them with enough memory; " + (
        speed if found.measured else "none has computed a unit yet"
    )


def _time(quoted: Quoted) -> str:
    found = quoted.forecast
    if found is None or found.seconds_min is None or found.seconds_max is None:
        each = _unit_seconds(quoted.price)
        return (
            f"not known; {quoted.price.units} units of {each:.3g} s at 1 GFLOP/s are "
            f"{quoted.price.units * each:.3g} unit-seconds"
        )
    return (
        f"{_span(found.seconds_min)} without audits, {_span(found.seconds_max)} with all of them; "
        f"{found.window_s} s of every round are the chain's challenge window"
    )


def _unit_seconds(price: Quote) -> float:
    return price.unit_flops / GFLOP


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def place_job(
    home: Home,
    desk: Desk,
    bundle: Bundle,
    token: Token,
    *,
    again: bool,
    holders: int,
    rounds_ahead: int = 0,
) -> tuple[bytes, list[str]]:
    """Find peers, fund the job, offer it until enough hold it; its id and their wallets.

    Nothing is paid while no peer answers, nor where none has the memory for it.
    """
    chain = desk.chain
    pay = partial(_fund, desk, bundle, token, rounds_ahead)
    if not desk.how.sends:
        pay()
    known = _known_job(chain, bundle, token, again=again)
    wallets: list[str] = []
    with _temporary_store(bundle) as store:
        job_id = trio.run(_place, home, chain, store, bundle, token, known, holders, wallets, pay)
    return job_id, wallets


async def _place(
    home: Home,
    chain: Chain,
    store: BlobStore,
    bundle: Bundle,
    token: Token,
    known: bytes | None,
    holders: int,
    wallets: list[str],
    pay: Callable[[], bytes],
) -> bytes:
    problems: list[str] = []

    def held(peer_id: str, wallet: str) -> None:
        wallets.append(wallet)
        note(f"held by {wallet} ({peer_id})")

    async with open_client(open_network(home), store) as client:
        if sys.stderr.isatty():
            note("looking for peers: up to half a minute")
        peers = await client.find_peers(max(holders, HOLDERS_WANTED))
        if known is None:
            check_memory(bundle.manifest, await _offers_for(client, chain, token))
            known = await trio.to_thread.run_sync(pay)
        enough = holders or min(HOLDERS_WANTED, len(peers))
        manifest = bundle.manifest.ref()
        await client.offer(
            known,
            manifest,
            peers,
            enough,
            held,
            lambda peer_id, reason: problems.append(f"{peer_id}: {reason}"),
        )
        if len(wallets) < enough:
            raise _not_held(known, len(wallets), enough, len(peers), problems)
        note(
            f"{len(wallets)} peers have its program and data: you may go offline. If all of them "
            "lose it, the deposit for its data pays those who cannot work"
        )
        return known


def _not_held(
    job_id: bytes, held: int, enough: int, peers: int, problems: Sequence[str]
) -> PeerUnreachable:
    """The hand-over that did not end, and how to go on with it."""
    return PeerUnreachable(
        f"{held} of {enough} peers hold job 0x{job_id.hex()}, stay online until they do: "
        + ("; ".join(problems) or f"only {peers} answer"),
        "It is funded. Run the same command again to offer it again: it is not paid twice. "
        f"Or `ainur job cancel {job_id.hex()[:12]}`: the money comes back.",
    )


def _known_job(chain: Chain, bundle: Bundle, token: Token, *, again: bool) -> bytes | None:
    """The open job that this wallet paid for before; None, once it is clear that it can pay."""
    known = None
    if not again:
        known = earlier_job(LedgerReader(chain).update(), chain.address, bundle.manifest)
    if known is not None:
        check_not_repeated(known)
        note(
            f"job 0x{known.job_id.hex()} is funded and open: it is offered again, not paid again "
            "(--again pays for another run)"
        )
        return known.job_id
    now_s = chain.head().timestamp
    terms = terms_of(bundle.manifest, now_s, unit_wei=bundle.unit_wei, token=token.address)
    require_funds(chain, terms, bundle.budget_wei, token)
    return None


def _fund(desk: Desk, bundle: Bundle, token: Token, rounds_ahead: int) -> bytes:
    calls = fund_calls(desk.chain, bundle, token, rounds_ahead)
    funded = funded_by(desk.send(*calls))
    note(f"funded job 0x{funded.job_id.hex()} with {token.amount(funded.deposited_wei)}")
    return funded.job_id


@contextmanager
def _temporary_store(bundle: Bundle) -> Iterator[BlobStore]:
    """A blob store with a job's blobs, for as long as they are offered."""
    with tempfile.TemporaryDirectory(prefix="ainur-submit-") as folder:
        store = BlobStore(Path(folder) / "store")
        bundle.put(store)
        yield store
