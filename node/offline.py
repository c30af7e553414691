"""Transactions in files: prepared where the chain can be seen, signed where the key is.

An unsigned file has everything that is signed, and nothing that has to be believed: what it does is
decoded from its bytes. A signed file adds the signature and can be sent by anybody.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from eth_utils.crypto import keccak
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from node.chain.sender import GAS_MAX, Draft
from node.errors import BadInput
from node.files import PRIVATE, read_text, write_new
from node.network_file import Address
from node.wallet import Signer

FILE_BYTES_MAX = 4 << 20
TRANSACTIONS_MAX = 64
DATA_HEX_MAX = 1 << 18
_Wei = Annotated[int, Field(ge=0, lt=2**128)]
_Data = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$", max_length=DATA_HEX_MAX)]
_Raw = Annotated[str, Field(pattern=r"^0x02([0-9a-f]{2})+$", max_length=DATA_HEX_MAX + 1024)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Prepared(_Strict):
    """One transaction (EIP-1559) of the file's sender. An empty `to` creates a contract."""

    nonce: Annotated[int, Field(ge=0, lt=2**63)]
    to: Address | Literal[""]
    value_wei: _Wei
    data: _Data
    gas: Annotated[int, Field(ge=21_000, le=GAS_MAX)]
    gas_price_max_wei: _Wei
    gas_tip_max_wei: _Wei

    @classmethod
    def of(cls, draft: Draft) -> Self:
        """What a draft says."""
        return cls(
            nonce=draft.nonce,
            to=draft.transaction.to,
            value_wei=draft.transaction.value_wei,
            data="0x" + draft.transaction.data.hex(),
            gas=draft.gas,
            gas_price_max_wei=draft.fees.cap_wei,
            gas_tip_max_wei=draft.fees.tip_wei,
        )

    @property
    def calldata(self) -> bytes:
        """The data as bytes."""
        return bytes.fromhex(self.data[2:])

    @property
    def most_wei(self) -> int:
        """What its gas costs at the very most."""
        return self.gas * self.gas_price_max_wei


class Signed(Prepared):
    """A transaction and the bytes that its signature made of it."""

    raw: _Raw

    @property
    def digest(self) -> bytes:
        """The transaction's hash."""
        return keccak(self.raw_bytes)

    @property
    def raw_bytes(self) -> bytes:
        """What is handed in."""
        return bytes.fromhex(self.raw[2:])


class _File(_Strict):
    chain_id: Annotated[int, Field(ge=1, lt=2**53)]
    sender: Address

    @classmethod
    def read(cls, path: Path) -> Self:
        """The file at `path`; BadInput where it is none."""
        text = read_text(path, "transaction file")
        if len(text) > FILE_BYTES_MAX:
            raise BadInput(f"The transaction file {path} is larger than {FILE_BYTES_MAX} bytes.")
        try:
            # Through JSON, where a tuple is a list even to a strict reader.
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "file"
            kind = "signed" if cls is SignedFile else "unsigned"
            raise BadInput(
                f"{path} holds no {kind} transactions: {where}: {first['msg']}."
            ) from None

    def write(self, path: Path) -> None:
        """Store it, for its owner alone; BadInput where the file exists."""
        try:
            write_new(path, self.model_dump_json(indent=2).encode() + b"\n", mode=PRIVATE)
        except FileExistsError:
            raise BadInput(f"{path} exists and is not overwritten.", "Name another file.") from None


class UnsignedFile(_File):
    """Transactions of `sender` on chain `chain_id`, to be carried out in this order."""

    kind: Literal["unsigned-1"] = "unsigned-1"
    transactions: Annotated[tuple[Prepared, ...], Field(min_length=1, max_length=TRANSACTIONS_MAX)]


class SignedFile(_File):
    """The same, signed."""

    kind: Literal["signed-1"] = "signed-1"
    transactions: Annotated[tuple[Signed, ...], Field(min_length=1, max_length=TRANSACTIONS_MAX)]


def unsigned(drafts: Sequence[Draft]) -> UnsignedFile:
    """The file of some drafts of one sender."""
    if len(drafts) > TRANSACTIONS_MAX:
        raise BadInput(
            f"{len(drafts)} transactions are more than the {TRANSACTIONS_MAX} of one file."
        )
    return UnsignedFile(
        chain_id=drafts[0].chain_id,
        sender=drafts[0].sender,
        transactions=tuple(Prepared.of(draft) for draft in drafts),
    )


def sign(file: UnsignedFile, signer: Signer) -> SignedFile:
    """The same transactions, signed; BadInput if the signer is not their sender."""
    if signer.address != file.sender:
        raise BadInput(
            f"The transactions are of {file.sender}, the key is that of {signer.address}."
        )
    return SignedFile(
        chain_id=file.chain_id,
        sender=file.sender,
        transactions=tuple(_signed(file.chain_id, each, signer) for each in file.transactions),
    )


def _signed(chain_id: int, each: Prepared, signer: Signer) -> Signed:
    fields: dict[str, int | str] = {
        "type": 2,
        "chainId": chain_id,
        "nonce": each.nonce,
        "gas": each.gas,
        "maxPriorityFeePerGas": each.gas_tip_max_wei,
        "maxFeePerGas": each.gas_price_max_wei,
        "value": each.value_wei,
        "data": each.data,
    }
    if each.to:
        fields["to"] = each.to
    raw = signer.sign_transaction(fields)
    return Signed(**each.model_dump(), raw="0x" + raw.hex())
