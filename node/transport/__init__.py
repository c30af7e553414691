"""libp2p, hardened: the only package that knows it.

Owns the host (TCP, Noise, Yamux and nothing else), dialling, and the supervision of handlers.
Gives channels (node/channel.py). py-libp2p 0.8.1 is unsafe in its defaults; what is done about each
weakness that we reproduced:

1. plaintext and TLS are on offer: only Noise is passed;
2. an exception in a stream handler ends the host: `_supervise` contains every one of them;
3. inbound slots and tasks are never released: `_Admission` replaces the accept path, counts what is
   alive, bounds it in total and by address, and lets go when a connection ends;
4. a cancelled write desynchronises Noise for all streams: `_SafeNoise` shields every write of the
   session; a peer that stalls it loses the connection;
5. a full window resets a stream after 5 s: channels never write into a full window;
6. the receive window is not enforced: `_BoundedBuffers` ends the connection of a peer that exceeds
   it, bounds the streams and the unread bytes of a connection;
7. and 8. an end says nothing, unread data is dropped: frames, acknowledgements, lingering close;
9. one failed address blocks a peer for 60 s: `_dial` tries addresses itself, one by one;
10. the host dials known peers by itself: its connector is off and it is told no addresses;
11. the 257th stream of a connection hangs: fewer are allowed and opening has a deadline;
12. pubsub must stop after the host: there is none yet;
13. 0.0.0.0 is advertised: `addresses.reachable` replaces it by the machine's own;
14. 100 partial reads lose a connection: `_ExactReader` reads a Noise packet in one call.

Beyond these: listeners share a port silently (SO_REUSEPORT), so it is probed before; identify is
answered but never asked, because it runs in tasks whose failure would end the process; a host that
vanished is noticed by TCP keep-alive.

limits.py       what peers may hold of this machine, what is counted
connections.py  what a connection passes before its streams: 3, 4, 6, 14
host.py         the library's host, put together: 1, 10
streams.py      a stream of it as the byte stream of a channel: 7
transport.py    dialling, streams, the supervision of handlers: 2, 5, 8, 9, 11
"""

from node.channel import Channel
from node.errors import ChannelClosed
from node.transport.limits import Limits, Traffic
from node.transport.transport import Handler, Transport

__all__ = ["Channel", "ChannelClosed", "Handler", "Limits", "Traffic", "Transport"]
