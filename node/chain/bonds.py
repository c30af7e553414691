"""The contracts of bonds: the vault, and what newcomers earn their first one from."""

from collections.abc import Sequence

from node.chain.contract import Contract
from node.chain.describe import UINT256_MAX
from node.chain.handle import Transaction
from node.chain.types import (
    ClaimedUnit,
    DelegatedBond,
    Delegation,
    Newcomer,
    NewcomerPlace,
    Opening,
    Pending,
    from_abi,
)
from node.ids import JobId, UnitId


class Vault(Contract):
    """BondVault: bonds and who is active."""

    def bond_of(self, account: str) -> int:
        return int(self._handle.value("bondOf", account))

    def pending_of(self, account: str) -> Pending:
        return from_abi(Pending, self._handle.read("pendingOf", account))

    def locked_of(self, account: str) -> int:
        return int(self._handle.value("lockedOf", account))

    def free_of(self, account: str) -> int:
        """What may be locked for a further unit."""
        return int(self._handle.value("freeOf", account))

    def votes(self, owner: str) -> int:
        """The voting power of what `owner` has bonded now."""
        return int(self._handle.value("votesOf", owner))

    def is_active(self, account: str) -> bool:
        return bool(self._handle.value("isActive", account))

    def active_count(self) -> int:
        return int(self._handle.value("activeCount"))

    def active_at(self, place: int) -> str:
        return str(self._handle.value("activeAt", place))

    def peer_id_of(self, account: str) -> bytes:
        return bytes(self._handle.value("peerIdOf", account))

    def owner_of(self, account: str) -> str:
        """Who alone gets the account's bond out and votes with it: itself by default."""
        return str(self._handle.value("ownerOf", account))

    def offered_owner_of(self, account: str) -> str:
        """Whom the account's bond is offered to; ZERO_ADDRESS for nobody."""
        return str(self._handle.value("offeredOwnerOf", account))

    def bond(self, amount: int, peer_id: bytes) -> Transaction:
        return self._handle.write("bond", amount, peer_id)

    def bond_for(self, account: str, amount: int) -> Transaction:
        """Only the account's owner may send it; `bond` is for one's own account."""
        return self._handle.write("bondFor", account, amount)

    def set_peer_id(self, peer_id: bytes) -> Transaction:
        return self._handle.write("setPeerId", peer_id)

    def offer_owner(self, account: str, to: str) -> Transaction:
        return self._handle.write("offerOwner", account, to)

    def accept_owner(self, account: str) -> Transaction:
        return self._handle.write("acceptOwner", account)

    def request_unbond(self, amount: int, account: str = "") -> Transaction:
        """Of the sender's own account, or of one that it owns; so are the next two."""
        if account:
            return self._handle.write("requestUnbondOf", account, amount)
        return self._handle.write("requestUnbond", amount)

    def cancel_unbond(self, account: str = "") -> Transaction:
        if account:
            return self._handle.write("cancelUnbondOf", account)
        return self._handle.write("cancelUnbond")

    def withdraw(self, account: str = "") -> Transaction:
        if account:
            return self._handle.write("withdrawOf", account)
        return self._handle.write("withdraw")

    def delegated_to(self, account: str) -> DelegatedBond:
        """What others have delegated to an account's bond, and on which terms."""
        return from_abi(DelegatedBond, self._handle.value("delegatedTo", account))

    def delegation_of(self, holder: str) -> Delegation:
        """What a holder has delegated, and to whom."""
        return from_abi(Delegation, self._handle.value("delegationOf", holder))

    def delegators_part(self, account: str, amount: int) -> int:
        """What of an account's reward is its delegators', as of now."""
        return int(self._handle.value("delegatorsPart", account, amount))

    def set_commission(self, account: str, commission_bps: int) -> Transaction:
        """Only the account's owner may send it; so is the next."""
        return self._handle.write("setCommission", account, commission_bps)

    def close_delegations(self, account: str) -> Transaction:
        return self._handle.write("closeDelegations", account)

    def delegate_bond(self, account: str, amount: int, commission_bps_max: int) -> Transaction:
        return self._handle.write("delegateBond", account, amount, commission_bps_max)

    def request_undelegate(self, amount: int = UINT256_MAX) -> Transaction:
        """Of what the sender has delegated; so are the next two. All, if there is not more: what a
        slash or a reward changes on the way spoils no exit.
        """
        return self._handle.write("requestUndelegate", amount)

    def cancel_undelegate(self) -> Transaction:
        return self._handle.write("cancelUndelegate")

    def withdraw_delegated(self) -> Transaction:
        return self._handle.write("withdrawDelegated")

    def withdraw_delegated_of(self, holder: str) -> Transaction:
        """Pays out to a holder what it asked for, its delay over; anyone may send it."""
        return self._handle.write("withdrawDelegatedOf", holder)

    def refresh(self, account: str) -> Transaction:
        return self._handle.write("refresh", account)


class FirstBonds(Contract):
    """FirstBonds: how an account without tokens earns its first bond."""

    def newcomer_of(self, account: str) -> Newcomer:
        return from_abi(Newcomer, self._handle.value("newcomerOf", account))

    def registered_until(self, account: str) -> int:
        """Unix seconds; 0 if it is not registered."""
        return int(self._handle.value("registeredUntil", account))

    def registered_count(self) -> int:
        return int(self._handle.value("registeredCount"))

    def pot_wei(self) -> int:
        """What may still be promised, on one day or another."""
        return int(self._handle.value("potWei"))

    def promised_today_wei(self) -> int:
        return int(self._handle.value("promisedTodayWei"))

    def caps(self) -> tuple[int, int]:
        """The most that is promised in a day, and for one audit: fixed at deployment."""
        return int(self._handle.value("dayCapWei")), int(self._handle.value("payMaxWei"))

    def place_of(self, job_id: JobId, round: int, batch: int, account: str) -> NewcomerPlace:
        found = self._handle.value("placeOf", job_id, round, batch, account)
        return from_abi(NewcomerPlace, found)

    def is_openable(self, job_id: JobId, round: int, slot: int, attempt: int) -> bool:
        """Whether a unit may be opened to newcomers: nobody has to find its root blindly."""
        return bool(self._handle.value("isOpenable", job_id, round, slot, attempt))

    def register(self) -> Transaction:
        return self._handle.write("register")

    def fund(self, amount: int) -> Transaction:
        """Into the pot; needs an allowance for this contract."""
        return self._handle.write("fund", amount)

    def commit(
        self,
        job_id: JobId,
        round: int,
        batch: int,
        claim: ClaimedUnit,
        proof: Sequence[bytes],
        commitment: bytes,
    ) -> Transaction:
        arguments = (job_id, round, batch, claim, tuple(proof), commitment)
        return self._handle.write("commit", *arguments)

    def reveal(
        self,
        job_id: JobId,
        round: int,
        claim: ClaimedUnit,
        opening: Opening,
        unit_root: bytes,
        salt: bytes,
    ) -> Transaction:
        return self._handle.write("reveal", job_id, round, claim, opening, unit_root, salt)

    def release(self, unit_id: UnitId, account: str) -> Transaction:
        """Of what was set apart for an audit that was not revealed in its time; back to the pot."""
        return self._handle.write("release", unit_id, account)

    def pay_out(self) -> Transaction:
        return self._handle.write("payOut")
