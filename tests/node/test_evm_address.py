"""node/evm_address.py: addresses as people write them."""

import pytest

from node.evm_address import check_address

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def test_address_checksums() -> None:
    """A mistyped address is noticed by its checksum; lower case has none and is accepted."""
    assert check_address(ADDRESS.lower()) == ADDRESS
    with pytest.raises(ValueError, match="expected " + ADDRESS):
        check_address(ADDRESS.replace("aA", "AA"))
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        check_address(ADDRESS[:-1])
