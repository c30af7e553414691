"""A vote by signature: written where the key is, handed in by anybody.

A ballot is a JSON file with an EIP-712 signature that the governor checks. It counts once, on one
proposal, as signed: whoever hands it in pays the gas and can change nothing.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from node.chain import Chain
from node.chain.types import Support
from node.errors import BadInput
from node.files import read_text, write_new
from node.governance import Proposal, require_ballot
from node.network_file import Address
from node.typed_data import Domain
from node.wallet import Signer, recover_digest

BALLOT_BYTES_MAX = 4_096

_BALLOT_TYPE = "Ballot(uint256 proposalId,uint8 support,address voter,uint256 nonce)"
_BALLOT_MEMBERS = ("uint256", "uint8", "address", "uint256")
_Hex32 = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
_Signature = Annotated[str, Field(pattern=r"^0x[0-9a-f]{130}$")]


class Ballot(BaseModel):
    """A signed vote. `nonce`: how many ballots of the voter the governor has counted before."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    chain_id: Annotated[int, Field(ge=1, lt=2**63)]
    governor: Address
    proposal: _Hex32
    support: Annotated[int, Field(ge=0, le=2)]
    voter: Address
    nonce: Annotated[int, Field(ge=0, lt=2**63)]
    signature: _Signature

    @classmethod
    def read(cls, path: Path) -> Self:
        """The ballot in a file; BadInput where it is none."""
        text = read_text(path, "ballot")
        if len(text) > BALLOT_BYTES_MAX:
            raise BadInput(f"The ballot {path} is larger than {BALLOT_BYTES_MAX} bytes.")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "file"
            raise BadInput(f"{path} is no ballot: {where}: {first['msg']}.") from None

    def write(self, path: Path) -> None:
        """Store it; BadInput where the file exists."""
        try:
            write_new(path, self.model_dump_json(indent=2).encode() + b"\n")
        except FileExistsError:
            raise BadInput(f"{path} exists and is not overwritten.", "Name another file.") from None

    @property
    def digest(self) -> bytes:
        """What the voter signs."""
        return _digest(
            self.chain_id, self.governor, int(self.proposal, 16), self.support, self.voter,
            self.nonce,
        )  # fmt: skip


def sign_ballot(chain: Chain, signer: Signer, proposal: Proposal, support: Support) -> Ballot:
    """A vote of `signer` on a proposal that is open; BadInput or InsufficientFunds if it is not."""
    require_ballot(chain, proposal, signer.address)
    chain_id, governor = chain.network.chain_id, chain.network.contracts.governor
    nonce = chain.governor.nonce(signer.address)
    number = proposal.created.proposal_id
    digest = _digest(chain_id, governor, number, support, signer.address, nonce)
    return Ballot(
        chain_id=chain_id,
        governor=governor,
        proposal=proposal.id_hex,
        support=int(support),
        voter=signer.address,
        nonce=nonce,
        signature="0x" + signer.sign_digest(digest).hex(),
    )


def require_countable(chain: Chain, ballot: Ballot, proposal: Proposal) -> None:
    """BadInput or InsufficientFunds, with the reason, unless the governor would count it now."""
    here = chain.network.chain_id, chain.network.contracts.governor
    if (ballot.chain_id, ballot.governor) != here:
        raise BadInput(
            f"The ballot is for governor {ballot.governor} on chain {ballot.chain_id}, "
            f"this network has {here[1]} on chain {here[0]}."
        )
    require_ballot(chain, proposal, ballot.voter)
    nonce = chain.governor.nonce(ballot.voter)
    if ballot.nonce != nonce:
        raise BadInput(
            f"The ballot has number {ballot.nonce}, {ballot.voter}'s next one is {nonce}.",
            "The voter has to sign it again.",
        )
    if recover_digest(ballot.digest, bytes.fromhex(ballot.signature[2:])) != ballot.voter:
        raise BadInput(f"The ballot was not signed by {ballot.voter}, or was changed since.")


def _digest(
    chain_id: int, governor: str, proposal: int, support: int, voter: str, nonce: int
) -> bytes:
    domain = Domain("Ainur Governor", "1", chain_id, governor)
    return domain.digest(_BALLOT_TYPE, _BALLOT_MEMBERS, (proposal, support, voter, nonce))
