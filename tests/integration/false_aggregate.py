"""A compute worker whose aggregates are false: a coordinator's that would train another model.

One bit of the honest aggregate is flipped; outer step, checkpoint and blobs follow from that, so
that nothing but the results gives it away.
"""

from engine import state as tensors
from engine.commitment import state_root
from examples.cheating_worker import flip_random_bit
from node.compute_messages import AggregateDone, AggregateRound
from node.execution import LoadedJob
from node.worker import Worker, main


class FalseAggregate(Worker):
    """Honest but for `aggregate`."""

    def _aggregate(self, request: AggregateRound, loaded: LoadedJob) -> AggregateDone:
        done = super()._aggregate(request, loaded)
        made = tensors.decode(self._store.read(done.aggregate))
        name = max(made, key=lambda key: made[key].size)
        false = {**made, name: flip_random_bit(made[name])}
        assert state_root(false) != state_root(made)
        return AggregateDone(aggregate=self._store.put(tensors.encode(false)), seconds=done.seconds)


if __name__ == "__main__":
    main(FalseAggregate)
