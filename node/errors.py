"""What the node and the command line raise, each with its exit code.

    NodeError                  1   anything unforeseen that we can still explain
    ├── BadInput               2   a wrong argument, job file or value
    ├── NoDevice               3   no usable OpenCL device
    │   └── FaultyDevice           the device returned wrong bits
    ├── ChainUnreachable       4   no RPC endpoint answers
    ├── InsufficientFunds      5   too little money, gas or bond
    ├── WrongPassword          6   a keystore that does not open
    ├── PeerUnreachable        7   no peer answers
    │   └── ChannelClosed          a stream to a peer has ended
    ├── NodeNotRunning         8   the local daemon does not answer
    ├── TransactionFailed      9   the chain refused, with the contract's reason
    ├── JobFailed             10   a job ended without a result
    ├── PeerFault             11   a peer sent something malformed: counted against it, never fatal
    └── ReplayDiffers         12   a recomputation gave other bits than the chain has

Interrupted by the user: 130. Messages say what was wrong, with the value, and what to do next.
"""


class NodeError(Exception):
    """The root of every error that the node raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class BadInput(NodeError):
    """A wrong argument, job file or value."""

    exit_code = 2


class NoDevice(NodeError):
    """No usable OpenCL device."""

    exit_code = 3


class FaultyDevice(NoDevice):
    """The device returned other bits than the reference: nothing it computes can be committed."""


class ChainUnreachable(NodeError):
    """No RPC endpoint answers."""

    exit_code = 4


class InsufficientFunds(NodeError):
    """Too little money, gas or bond for what was asked."""

    exit_code = 5


class WrongPassword(NodeError):
    """A keystore does not open with the password given."""

    exit_code = 6


class PeerUnreachable(NodeError):
    """No peer answers."""

    exit_code = 7


class ChannelClosed(PeerUnreachable):
    """A stream to a peer has ended: closed by it, reset, stalled, or its connection was lost."""


class NodeNotRunning(NodeError):
    """The local daemon does not answer."""

    exit_code = 8


class TransactionFailed(NodeError):
    """The chain refused a transaction; the message holds the contract's reason."""

    exit_code = 9


class JobFailed(NodeError):
    """A job ended without a result."""

    exit_code = 10


class PeerFault(NodeError):
    """A peer sent something malformed or broke the protocol."""

    exit_code = 11


class ReplayDiffers(NodeError):
    """A recomputation gave other bits than the chain has; the message has both roots."""

    exit_code = 12
