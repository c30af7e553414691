"""What every contract class is: one per contract, one method per call (docs/spec/contracts.md).

A read returns its value now; it blocks on the network. A write returns a `Transaction` to be sent
by `Chain.send` or `AsyncChain.send`; preparing it touches no network.
"""

from node.chain.handle import Handle


class Contract:
    """What every contract class has: its handle, hence its address."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @property
    def address(self) -> str:
        """The contract's address."""
        return self._handle.address
