"""Addresses of accounts and contracts as people write them."""

import re

from eth_utils.address import to_checksum_address


def check_address(text: str) -> str:
    """`text` as a checksummed address; ValueError says what is wrong with it."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise ValueError("an address is 0x and 40 hexadecimal digits")
    checksummed = str(to_checksum_address(text))
    if text not in (checksummed, text.lower()):
        raise ValueError(f"the checksum is wrong: expected {checksummed}")
    return checksummed
