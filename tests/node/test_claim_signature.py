"""Signed claims: the digest is the contract's, and only the signer's own claim verifies."""

from dataclasses import replace

from node.claim_signature import ClaimDomain, Statement
from node.devnet import CHAIN_ID, Devnet
from node.ids import UnitId
from node.wallet import Signer, recover_digest

CLAIM = Statement(UnitId(b"u" * 32), b"p" * 32, 3, b"r" * 32, b"c" * 32)


def test_the_digest_is_the_contracts(devnet: Devnet) -> None:
    """WorkLedger.claimDigest and this module agree on every byte."""
    domain = ClaimDomain(CHAIN_ID, devnet.network.contracts.ledger)
    with devnet.chain() as chain:
        on_chain = chain.ledger.claim_digest(
            CLAIM.unit, CLAIM.parent, CLAIM.lease_epoch, CLAIM.result_root, CLAIM.commitment
        )
    assert domain.digest(CLAIM) == on_chain


def test_only_the_signed_claim_verifies() -> None:
    """Another field, contract or chain makes another signer, or none."""
    signer = Signer.random()
    domain = ClaimDomain(1, "0x" + "11" * 20)
    signature = domain.sign(signer, CLAIM)
    assert domain.signer_of(CLAIM, signature) == signer.address
    others = (
        domain.signer_of(replace(CLAIM, unit=UnitId(b"v" * 32)), signature),
        domain.signer_of(replace(CLAIM, parent=b"q" * 32), signature),
        domain.signer_of(replace(CLAIM, lease_epoch=4), signature),
        domain.signer_of(replace(CLAIM, result_root=b"s" * 32), signature),
        domain.signer_of(replace(CLAIM, commitment=b"d" * 32), signature),
        ClaimDomain(2, "0x" + "11" * 20).signer_of(CLAIM, signature),
        ClaimDomain(1, "0x" + "12" * 20).signer_of(CLAIM, signature),
    )
    assert signer.address not in others


def test_what_is_no_signature_has_no_signer() -> None:
    """Bytes from a peer never raise."""
    domain = ClaimDomain(1, "0x" + "11" * 20)
    for junk in (b"", b"\x00" * 65, b"\xff" * 65, b"x" * 64, b"x" * 66):
        assert domain.signer_of(CLAIM, junk) is None


def test_only_the_form_that_the_contract_takes_counts() -> None:
    """A high s and other values of v have the same signer, and the contract refuses them."""
    signer = Signer.random()
    domain = ClaimDomain(1, "0x" + "11" * 20)
    good = domain.sign(signer, CLAIM)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high_s = (order - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    forms = (
        good[:32] + high_s + bytes([55 - good[64]]),
        good[:64] + bytes([good[64] - 27]),
        good[:64] + bytes([good[64] + 10]),
    )
    for form in forms:
        assert recover_digest(domain.digest(CLAIM), form) == signer.address
        assert domain.signer_of(CLAIM, form) is None
