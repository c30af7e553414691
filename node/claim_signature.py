"""The worker's consent to a claim: an EIP-712 signature that the ledger contract checks.

Without it a coordinator could bind anybody to a wrong result. The digest is the contract's
`claimDigest`; a test compares the two.
"""

from dataclasses import dataclass

from node.ids import UnitId
from node.typed_data import Domain
from node.wallet import Signer, recover_digest

_CLAIM_TYPE = (
    "Claim(bytes32 unitId,bytes32 parent,uint32 leaseEpoch,bytes32 resultRoot,bytes32 commitment)"
)
_CLAIM_MEMBERS = ("bytes32", "bytes32", "uint32", "bytes32", "bytes32")
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half of the order of secp256k1: of s and its negative only the lower one counts."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a worker signs.

    The chain takes it for a round that starts from the checkpoint `parent` (zeros in the first
    round), from the holder of the lease with this epoch, and nowhere else.
    """

    unit: UnitId
    parent: bytes
    lease_epoch: int
    result_root: bytes
    commitment: bytes


@dataclass(frozen=True, slots=True)
class ClaimDomain:
    """Where a claim's signature counts: one ledger contract on one chain."""

    chain_id: int
    ledger: str

    def digest(self, statement: Statement) -> bytes:
        """The 32 bytes that the worker signs."""
        domain = Domain("Ainur WorkLedger", "0", self.chain_id, self.ledger)
        values = (
            statement.unit,
            statement.parent,
            statement.lease_epoch,
            statement.result_root,
            statement.commitment,
        )
        return domain.digest(_CLAIM_TYPE, _CLAIM_MEMBERS, values)

    def sign(self, signer: Signer, statement: Statement) -> bytes:
        """The 65-byte signature of a worker."""
        return signer.sign_digest(self.digest(statement))

    def signer_of(self, statement: Statement, signature: bytes) -> str | None:
        """Who signed the claim, or None if this is no signature that the contract takes.

        The contract refuses the other forms of the same signature (a high s, a v of 0 or 1), and
        with them every claim of the transaction.
        """
        if len(signature) != 65 or signature[64] not in (27, 28):
            return None
        if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
            return None
        return recover_digest(self.digest(statement), signature)
