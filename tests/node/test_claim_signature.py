"""Signed claims: the digest is the contract's, and only the signer's own claim verifies."""

from node.claim_signature import ClaimDomain
from node.devnet import CHAIN_ID, Devnet
from node.ids import UnitId
from node.wallet import Signer

UNIT, RESULT, COMMITMENT = UnitId(b"u" * 32), b"r" * 32, b"c" * 32


def test_the_digest_is_the_contracts(devnet: Devnet) -> None:
    """WorkLedger.claimDigest and this module agree on every byte."""
    domain = ClaimDomain(CHAIN_ID, devnet.network.contracts.ledger)
    with devnet.chain() as chain:
        on_chain = chain.ledger.claim_digest(UNIT, RESULT, COMMITMENT)
    assert domain.digest(UNIT, RESULT, COMMITMENT) == on_chain


def test_only_the_signed_claim_verifies() -> None:
    """Another unit, result, commitment, contract or chain makes another signer, or none."""
    signer = Signer.random()
    domain = ClaimDomain(1, "0x" + "11" * 20)
    signature = domain.sign(signer, UNIT, RESULT, COMMITMENT)
    assert domain.signer_of(UNIT, RESULT, COMMITMENT, signature) == signer.address
    others = (
        domain.signer_of(UnitId(b"v" * 32), RESULT, COMMITMENT, signature),
        domain.signer_of(UNIT, b"s" * 32, COMMITMENT, signature),
        domain.signer_of(UNIT, RESULT, b"d" * 32, signature),
        ClaimDomain(2, "0x" + "11" * 20).signer_of(UNIT, RESULT, COMMITMENT, signature),
        ClaimDomain(1, "0x" + "12" * 20).signer_of(UNIT, RESULT, COMMITMENT, signature),
    )
    assert signer.address not in others


def test_what_is_no_signature_has_no_signer() -> None:
    """Bytes from a peer never raise."""
    domain = ClaimDomain(1, "0x" + "11" * 20)
    for junk in (b"", b"\x00" * 65, b"\xff" * 65, b"x" * 64, b"x" * 66):
        assert domain.signer_of(UNIT, RESULT, COMMITMENT, junk) is None
