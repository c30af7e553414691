"""Who is out there: signed hellos, and a book of the peers that sent them.

A **hello** is a peer's own word about itself: addresses, wallet, roles, versions. It carries two
signatures over one text (docs/spec/protocol.md, section 5), one by the wallet and one by the key
that the peer id is made of, so it can be relayed by anyone and altered by nobody; of two, the one
with the higher sequence is newer. A peer that we have talked to ourselves is **met**; the rest is
**hearsay**. The book is bounded: hearsay makes room first, that of whoever told us most.

Misbehaviour is counted in points that fade with time. At BAN_POINTS a peer and its wallet are
banned, for longer each time. The book knows no network and reads no clock of its own.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Protocol

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from node.addresses import ADDRESS_CHARACTERS_MAX, dialable
from node.errors import BadInput, PeerFault
from node.identity import peer_id_decode, peer_id_from_key
from node.tokens import TOKENS_MAX

PEERS_MAX = 1024
BANS_MAX = 4096
ADDRESSES_MAX = 8
STALE_MET_S = 14 * 86400.0
STALE_HEARSAY_S = 86400.0
BAN_POINTS = 100.0
POINTS_FADE_PER_S = 1 / 60
BAN_FIRST_S = 3600.0
BAN_LONGEST_S = 7 * 86400.0
_KEY_BOOK, _KEY_BANS = "peers.book", "peers.bans"
_KEY_SEQUENCE = "peers.sequence"

SignText = Callable[[str], bytes]
Recover = Callable[[str, bytes], str | None]
Clock = Callable[[], float]

Short = Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]

_Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]


class Hello(BaseModel):
    """What a peer says about itself, signed by its wallet and by its own key.

    `memory_bytes` it gives to a job; `mflops` are 10^6 operations a second over its last units, 0
    before the first. It works for AIN and for `accepted_tokens`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    peer_id: Annotated[str, Field(min_length=40, max_length=64)]
    addresses: Annotated[
        tuple[Annotated[str, Field(max_length=ADDRESS_CHARACTERS_MAX)], ...],
        Field(max_length=ADDRESSES_MAX),
    ]
    wallet: _Address
    roles: Annotated[tuple[Short, ...], Field(max_length=8)]
    versions: Annotated[dict[Short, Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=8)]
    sequence: Annotated[int, Field(ge=0, lt=2**63)]
    memory_bytes: Annotated[int, Field(ge=0, lt=2**63)] = 0
    mflops: Annotated[int, Field(ge=0, lt=2**40)] = 0
    accepted_tokens: Annotated[tuple[_Address, ...], Field(max_length=TOKENS_MAX)] = ()
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{130}$")] = "00" * 65
    peer_signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")] = "00" * 64


@dataclass(frozen=True, slots=True)
class NetworkName:
    """Which deployment a hello is for, so that it means nothing on another."""

    chain_id: int
    vault: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer in the book. Times are of the book's clock."""

    hello: Hello
    met: bool
    last_seen_s: float
    told_by: str = ""
    failures: int = 0
    retry_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ban:
    """Points counted against a peer id or a wallet, and until when it is refused."""

    points: float = 0.0
    counted_at_s: float = 0.0
    until_s: float = 0.0
    times: int = 0
    reason: str = ""


class KeyValue(Protocol):
    """Where a book survives a restart; node.journal.Journal is one."""

    def get(self, key: str) -> bytes | None: ...

    def set(self, key: str, value: bytes) -> None: ...


def hello_text(network: NetworkName, hello: Hello) -> str:
    """The text that both signatures of a hello are over."""
    rest = hello.model_dump(exclude={"signature", "peer_signature"})
    document = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(document.encode()).hexdigest()
    return (
        f"ainur hello v1\nchain: {network.chain_id}\nvault: {network.vault.lower()}\n"
        f"peer: {hello.peer_id}\ndocument: {digest}"
    )


def make_hello(
    network: NetworkName,
    key_seed: bytes,
    sign_text: SignText,
    *,
    wallet: str,
    addresses: Sequence[str],
    sequence: int,
    roles: Sequence[str] = (),
    versions: dict[str, int] | None = None,
    memory_bytes: int = 0,
    mflops: int = 0,
    accepted_tokens: Sequence[str] = (),
) -> Hello:
    """Our own signed hello. `sequence` must grow with every change, also over restarts."""
    hello = Hello(
        peer_id=peer_id_from_key(key_seed),
        addresses=tuple(addresses)[:ADDRESSES_MAX],
        wallet=wallet,
        roles=tuple(roles),
        versions=versions or {},
        sequence=sequence,
        memory_bytes=memory_bytes,
        mflops=mflops,
        accepted_tokens=tuple(accepted_tokens),
    )
    text = hello_text(network, hello)
    return hello.model_copy(
        update={
            "signature": sign_text(text).hex(),
            "peer_signature": SigningKey(key_seed).sign(text.encode()).signature.hex(),
        }
    )


def next_sequence(storage: KeyValue, now_ms: int) -> int:
    """A sequence above all that were given out from this storage: the time, where that is higher.

    A clock that was put back must not make our hellos older than those that others keep.
    """
    last = int(storage.get(_KEY_SEQUENCE) or 0)
    sequence = max(last + 1, now_ms)
    storage.set(_KEY_SEQUENCE, str(sequence).encode())
    return sequence


def verify_hello(network: NetworkName, hello: Hello, recover: Recover) -> None:
    """PeerFault unless both signatures hold and every address can be dialled."""
    text = hello_text(network, hello)
    try:
        key = VerifyKey(peer_id_decode(hello.peer_id)[-32:])
        key.verify(text.encode(), bytes.fromhex(hello.peer_signature))
        for address in hello.addresses:
            dialable(address, hello.peer_id)
    except BadSignatureError:
        raise PeerFault(f"the hello of {hello.peer_id} is not signed by that peer") from None
    except BadInput as error:
        raise PeerFault(f"the hello of {hello.peer_id} is wrong: {error.message}") from None
    signer = recover(text, bytes.fromhex(hello.signature))
    if signer is None or signer.lower() != hello.wallet.lower():
        raise PeerFault(
            f"the hello of {hello.peer_id} is not signed by wallet {hello.wallet}, or not for "
            f"chain {network.chain_id} and vault {network.vault}"
        )


@dataclass(slots=True)
class PeerBook:
    """The peers known to this node. `now` gives Unix time; `storage` keeps it across restarts."""

    own_id: str
    network: NetworkName
    recover: Recover
    now: Clock
    storage: KeyValue | None = None
    peers_max: int = PEERS_MAX
    _peers: dict[str, Peer] = field(default_factory=dict)
    _bans: dict[str, Ban] = field(default_factory=dict)
    _dirty: bool = False
    _revisions: dict[str, int] = field(default_factory=dict)
    revision: int = 0
    """Grows with everything that is worth telling; above that of an earlier run of the book."""

    def __post_init__(self) -> None:
        self.revision = int(self.now() * 1000)
        self._load()

    def get(self, peer_id: str) -> Peer | None:
        """What is known of a peer."""
        return self._peers.get(peer_id)

    def peers(self) -> list[Peer]:
        """Every peer that is not banned: those met first, then the most recently seen first."""
        known = [peer for peer in self._peers.values() if self.allows(peer.hello.peer_id)]
        return sorted(known, key=lambda p: (not p.met, -p.last_seen_s, p.hello.peer_id))

    def revision_of(self, peer_id: str) -> int:
        """When there was last something new to tell of a peer, as `revision` was then."""
        return self._revisions.get(peer_id, self.revision)

    def by_wallet(self, wallet: str) -> list[Peer]:
        """The peers that speak for a wallet, best first."""
        return [peer for peer in self.peers() if peer.hello.wallet.lower() == wallet.lower()]

    def addresses_of(self, peer_id: str) -> list[str]:
        """Where to dial a peer; empty if it is not known."""
        peer = self._peers.get(peer_id)
        return list(peer.hello.addresses) if peer else []

    def allows(self, peer_id: str) -> bool:
        """Whether neither the peer nor its wallet is banned now."""
        peer = self._peers.get(peer_id)
        names = [peer_id, peer.hello.wallet.lower()] if peer else [peer_id]
        return not any(name in self._bans and self._banned(name) for name in names)

    def meet(self, hello: Hello, peer_id: str) -> Peer:
        """Enter the hello that a peer sent us itself over a connection of `peer_id`.

        PeerFault if it is not its own, not signed, or of a banned wallet.
        """
        if hello.peer_id != peer_id:
            raise PeerFault(f"peer {peer_id} introduced itself as {hello.peer_id}")
        known = self._peers.get(peer_id)
        if known is None or known.hello != hello:
            verify_hello(self.network, hello, self.recover)
            if known is not None and known.hello.sequence > hello.sequence:
                hello = known.hello
        if self._banned(hello.wallet.lower()):
            raise PeerFault(f"wallet {hello.wallet} is banned here")
        peer = Peer(hello=hello, met=True, last_seen_s=self.now())
        self._enter(peer)
        return peer

    def hear(self, hellos: Iterable[Hello], told_by: str) -> int:
        """Enter what a peer tells about others; how many were new. PeerFault if one is forged."""
        news = 0
        for hello in hellos:
            known = self._peers.get(hello.peer_id)
            if hello.peer_id == self.own_id or (
                known is not None and known.hello.sequence >= hello.sequence
            ):
                continue
            verify_hello(self.network, hello, self.recover)
            if self._banned(hello.peer_id) or self._banned(hello.wallet.lower()):
                continue
            if known is None:
                self._enter(Peer(hello, met=False, last_seen_s=self.now(), told_by=told_by))
            else:
                # New addresses deserve a new try, whatever the old ones were like.
                self._enter(replace(known, hello=hello, failures=0, retry_at_s=0.0))
            news += 1
        return news

    def failed(self, peer_id: str, retry_at_s: float) -> None:
        """Note that a peer did not answer and is not to be tried before `retry_at_s`."""
        peer = self._peers.get(peer_id)
        if peer is not None:
            self._peers[peer_id] = replace(peer, failures=peer.failures + 1, retry_at_s=retry_at_s)

    def punish(self, peer_id: str, points: float, reason: str) -> bool:
        """Count points against a peer; whether it is banned now. A ban is stored at once."""
        now = self.now()
        old = self._bans.get(peer_id, Ban(counted_at_s=now))
        left = max(0.0, old.points - (now - old.counted_at_s) * POINTS_FADE_PER_S)
        ban = replace(old, points=left + points, counted_at_s=now, reason=reason[:200])
        if ban.points >= BAN_POINTS:
            length = min(BAN_FIRST_S * 2**ban.times, BAN_LONGEST_S)
            ban = replace(ban, points=0.0, until_s=now + length, times=min(ban.times + 1, 16))
        self._bans[peer_id] = ban
        self._trim_bans()
        if ban.until_s <= now:
            return False
        peer = self._peers.get(peer_id)
        if peer is not None:
            self._bans[peer.hello.wallet.lower()] = ban
        self._store(_KEY_BANS, _BANS.dump_json(self._bans))
        return True

    def why_banned(self, peer_id: str) -> str:
        """The reason of a peer's ban, empty if it has none."""
        return self._bans[peer_id].reason if self._banned(peer_id) else ""

    def forget_stale(self) -> None:
        """Drop the peers that have not been seen for too long."""
        now = self.now()
        for peer_id, peer in list(self._peers.items()):
            if now - peer.last_seen_s > (STALE_MET_S if peer.met else STALE_HEARSAY_S):
                self._remove(peer_id)
                self._dirty = True

    def save(self) -> None:
        """Store the book if it changed; bans are stored as they happen."""
        if self._dirty:
            self._store(_KEY_BOOK, _BOOK.dump_json(list(self._peers.values())))
            self._dirty = False

    def _banned(self, name: str) -> bool:
        ban = self._bans.get(name)
        return ban is not None and ban.until_s > self.now()

    def _enter(self, peer: Peer) -> None:
        known = self._peers.get(peer.hello.peer_id)
        if known is None or known.hello != peer.hello or known.failures > peer.failures:
            self.revision += 1
            self._revisions[peer.hello.peer_id] = self.revision
        self._peers[peer.hello.peer_id] = peer
        self._dirty = True
        while len(self._peers) > self.peers_max:
            self._evict()

    def _evict(self) -> None:
        """Make room: the oldest hearsay of whoever told us most, else the peer unseen longest."""
        hearsay = [peer for peer in self._peers.values() if not peer.met]
        candidates: Iterable[Peer] = self._peers.values()
        if hearsay:
            told = Counter(peer.told_by for peer in hearsay)
            loudest = max(told, key=lambda teller: (told[teller], teller))
            candidates = [peer for peer in hearsay if peer.told_by == loudest]
        oldest = min(candidates, key=lambda p: (-p.failures, p.last_seen_s, p.hello.peer_id))
        self._remove(oldest.hello.peer_id)

    def _remove(self, peer_id: str) -> None:
        del self._peers[peer_id]
        self._revisions.pop(peer_id, None)

    def _trim_bans(self) -> None:
        while len(self._bans) > BANS_MAX:
            mildest = min(
                self._bans, key=lambda name: (self._bans[name].until_s, self._bans[name].points)
            )
            del self._bans[mildest]

    def _store(self, key: str, value: bytes) -> None:
        if self.storage is not None:
            self.storage.set(key, value)

    def _load(self) -> None:
        """Read what was stored; what cannot be read is forgotten: peers introduce themselves."""
        if self.storage is None:
            return
        try:
            known = _BOOK.validate_json(self.storage.get(_KEY_BOOK) or b"[]", strict=False)
            self._bans = _BANS.validate_json(self.storage.get(_KEY_BANS) or b"{}", strict=False)
        except ValidationError:
            return
        # The clock may have been put back since: nobody waits longer for that than it would anew.
        latest_s = self.now() + BAN_LONGEST_S
        self._bans = {
            name: replace(ban, until_s=min(ban.until_s, latest_s))
            for name, ban in self._bans.items()
        }
        for peer in known[: self.peers_max]:
            self._enter(replace(peer, retry_at_s=0.0))
        self._dirty = False


_BOOK: TypeAdapter[list[Peer]] = TypeAdapter(list[Peer])
_BANS: TypeAdapter[dict[str, Ban]] = TypeAdapter(dict[str, Ban])
