"""Network addresses as text: TCP multiaddresses, checked before anything is dialled or announced.

The accepted form is `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT`, with an optional `/p2p/PEER_ID` at the
end; `host:port` is accepted from people. Pure text, so that whoever only compares or stores
addresses needs no network library.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import suppress

from node.errors import BadInput

ADDRESS_CHARACTERS_MAX = 256
_MULTIADDRESS = re.compile(
    r"/(?P<family>ip4|ip6|dns4|dns6|dns)/(?P<host>[^/\s]{1,253})/tcp/(?P<port>[0-9]{1,5})"
    r"(?:/p2p/(?P<peer>[1-9A-HJ-NP-Za-km-z]{40,64}))?"
)
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
_REMEDY = "Write it as /ip4/192.0.2.7/tcp/4001 or 192.0.2.7:4001."


def parse(text: str) -> str:
    """The canonical text of a TCP address. BadInput for anything else."""
    if len(text) > ADDRESS_CHARACTERS_MAX:
        raise BadInput(f"An address has at most {ADDRESS_CHARACTERS_MAX} characters.", _REMEDY)
    found = _MULTIADDRESS.fullmatch(_from_host_and_port(text))
    if found is None:
        raise BadInput(f"{text!r} is not a TCP address.", _REMEDY)
    family, host, port = found["family"], found["host"], int(found["port"])
    if family.startswith("ip"):
        host = _check_ip(text, family, host)
    elif not _NAME.fullmatch(host):
        raise BadInput(f"{host!r} in {text!r} is not a host name.", _REMEDY)
    if port > 65535:
        raise BadInput(f"Port {port} in {text!r} is above 65535.", _REMEDY)
    return f"/{family}/{host}/tcp/{port}" + (f"/p2p/{found['peer']}" if found["peer"] else "")


def peer_of(address: str) -> str | None:
    """The peer id that an address ends in, if it names one."""
    return address.partition("/p2p/")[2] or None


def dialable(text: str, peer_id: str) -> str:
    """The canonical address for dialling `peer_id`. BadInput if it is malformed, of another peer,
    or of no host in particular.
    """
    address = parse(text)
    if peer_of(address) not in (None, peer_id):
        raise BadInput(f"It is an address of peer {peer_of(address)}.")
    _, family, host, _, port, *_ = address.split("/")
    if port == "0" or (family.startswith("ip") and ipaddress.ip_address(host).is_unspecified):
        raise BadInput(f"{address} is no place to dial.")
    return address


def reachable(address: str) -> Iterator[str]:
    """The addresses under which others reach a listener.

    0.0.0.0 and :: stand for this machine's addresses, loopback only where there is no other.
    """
    _, family, host, rest = address.split("/", 3)
    if family not in ("ip4", "ip6") or not ipaddress.ip_address(host).is_unspecified:
        yield address
        return
    loopback = "127.0.0.1" if family == "ip4" else "::1"
    found = [ip for ip in _own_addresses(family) if not ipaddress.ip_address(ip).is_loopback]
    for ip in found or [loopback]:
        yield f"/{family}/{ip}/{rest}"


def check_port_free(address: str) -> None:
    """BadInput if another program listens on this address already."""
    _, family, host, _, port, *_ = address.split("/")
    if port == "0" or family not in ("ip4", "ip6"):
        return
    with socket.socket(_socket_family(family), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise BadInput(
                f"This node cannot listen on {address}: {error.strerror}.",
                "Stop the other program or choose another port.",
            ) from None


def _from_host_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if text.startswith("/") or not colon:
        return text
    host = host.removeprefix("[").removesuffix("]")
    try:
        family = f"ip{ipaddress.ip_address(host).version}"
    except ValueError:
        family = "dns"
    return f"/{family}/{host}/tcp/{port}"


def _check_ip(text: str, family: str, host: str) -> str:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        raise BadInput(f"{host!r} in {text!r} is not an IP address.", _REMEDY) from None
    if f"ip{ip.version}" != family or "%" in host:
        raise BadInput(f"{host!r} in {text!r} is not an {family} address.", _REMEDY)
    return str(ip)


def _own_addresses(family: str) -> list[str]:
    """This machine's addresses: of its route to the outside, then those of its name."""
    kind = _socket_family(family)
    found: list[str] = []
    # Connecting a datagram socket sends nothing; it only asks the routing table.
    with suppress(OSError), socket.socket(kind, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1" if family == "ip4" else "2001:db8::1", 9))
        found.append(probe.getsockname()[0])
    with suppress(OSError):
        found += [str(item[4][0]) for item in socket.getaddrinfo(socket.gethostname(), None, kind)]
    return list(dict.fromkeys(ip.partition("%")[0] for ip in found))


def _socket_family(family: str) -> socket.AddressFamily:
    return socket.AF_INET if family == "ip4" else socket.AF_INET6
