"""The library's host, put together from the few parts of it that are used."""

import logging
from collections.abc import Callable, Sequence
from typing import cast

from libp2p import new_host
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.network.config import ConnectionConfig
from libp2p.network.swarm import Swarm
from libp2p.rcmgr import ResourceLimits, ResourceManager
from libp2p.rcmgr.connection_limits import ConnectionLimits
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.stream_muxer.yamux import yamux
from multiaddr import Multiaddr  # type: ignore[import-untyped]

from node.transport.connections import SafeNoise, bound_buffers
from node.transport.limits import Limits, Traffic

_UNLIMITED = 1_000_000

# Peers can make the library log at will; what matters is reported here.
logging.getLogger("libp2p").setLevel(logging.CRITICAL)


def make_host(
    keys: KeyPair,
    limits: Limits,
    advertised: Callable[[Sequence[Multiaddr]], list[Multiaddr]],
    wire: Traffic,
) -> BasicHost:
    noise = SafeNoise(keys, noise_privkey=create_noise_key_pair().private_key)
    noise.stall_s, noise.wire = limits.stall_s, wire
    host = cast(
        BasicHost,
        new_host(
            key_pair=keys,
            sec_opt={NOISE_ID: noise},
            muxer_opt={TProtocol(yamux.PROTOCOL_ID): yamux.Yamux},
            connection_config=ConnectionConfig(
                min_connections=0,
                low_watermark=0,
                high_watermark=_UNLIMITED,
                max_connections=_UNLIMITED,
                max_connections_per_peer=limits.connections_per_peer,
                inbound_upgrade_timeout=limits.handshake_s,
                outbound_upgrade_timeout=limits.handshake_s,
            ),
            resource_manager=_make_resource_manager(limits),
            addrs_factory=advertised,
            disable_identify_address_discovery=True,
        ),
    )
    host.remove_stream_handler(ID_PUSH)
    vars(host)["_schedule_identify"] = _do_nothing
    # A low watermark of zero does not stop it: it aims at the middle of the two watermarks.
    swarm = cast(Swarm, host.get_network())
    vars(swarm.auto_connector)["maybe_connect"] = _await_nothing
    bound_buffers(swarm)
    return host


def _do_nothing(*_args: object, **_kwargs: object) -> None:
    """In place of a method of the library that must not run."""


async def _await_nothing(*_args: object, **_kwargs: object) -> None:
    """In place of an asynchronous one."""


def _make_resource_manager(limits: Limits) -> ResourceManager:
    total = limits.connections_inbound + limits.connections_outbound
    return ResourceManager(
        # A connection counts twice while it is being upgraded.
        limits=ResourceLimits(max_connections=2 * total, max_streams=_UNLIMITED),
        connection_limits=ConnectionLimits(
            max_established_inbound=limits.connections_inbound,
            max_established_outbound=limits.connections_outbound,
            max_established_per_peer=limits.connections_per_peer,
            max_established_total=total,
        ),
        enable_metrics=False,
        enable_circuit_breaker=False,
        enable_graceful_degradation=False,
        enable_rate_limiting=False,
    )
