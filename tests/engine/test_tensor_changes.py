"""Changes in place: torch's values, or an error where torch would change another tensor, too."""

import numpy as np
import pytest

from engine import DType, Tensor, TensorType, TraceError, UsageError, trace
from engine.tensor import no_grad


def test_a_change_gives_torchs_values_and_the_same_object():
    """add_ and += change the tensor that they are called on, for every name of it."""
    x = Tensor([1.0, 2.0])
    name = x
    x += 1
    assert x.mul_(2).sub_(1) is name
    assert name.tolist() == [3.0, 5.0]
    x[0] = 7
    assert name.tolist() == [7.0, 5.0]


def test_what_was_computed_before_keeps_its_value():
    """A result is a value, not a view of what it was computed from."""
    x = Tensor([1.0, 2.0])
    y = x * 10
    x.zero_()
    assert y.tolist() == [10.0, 20.0]


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[0], lambda x: x.T, lambda x: x.reshape(-1), lambda x: x.detach(),
        lambda x: x.expand(3, 2, 2), lambda x: x.split(1)[1], lambda x: x.unsqueeze(0)[0, 1:],
        lambda x: x.float(), lambda x: x.flatten().narrow(0, 1, 2), lambda x: x.data,
        lambda x: next(iter(x)), lambda x: x.contiguous(), lambda x: x.diagonal(),
    ],
)  # fmt: skip
def test_a_view_and_its_base_refuse_changes_of_each_other(view):
    """torch would change both, so neither changes while both are alive."""
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    shown = view(x)
    with pytest.raises(UsageError, match="shares its elements"):
        x.add_(1)
    with pytest.raises(UsageError, match="clone"):
        shown.zero_()
    del shown
    assert x.add_(1).tolist() == [[2.0, 3.0], [4.0, 5.0]]


@pytest.mark.parametrize(
    "copy",
    [
        lambda x: x.clone(), lambda x: x[Tensor([0])], lambda x: x + 0.0, lambda x: x.tril(),
        lambda x: x.int(), lambda x: Tensor(x), lambda x: Tensor.cat([x, x]), lambda x: x[[0, 1]],
    ],
)  # fmt: skip
def test_a_copy_does_not_hinder(copy):
    """What torch copies may live on."""
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    other = copy(x)
    before = other.numpy()
    x.zero_()
    np.testing.assert_array_equal(other.numpy(), before)


def test_a_leaf_changes_without_gradients_alone():
    """A tensor that requires a gradient changes in no_grad, and still gets its gradient."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    with pytest.raises(UsageError, match="no_grad"):
        x.sub_(1)
    with pytest.raises(UsageError, match="requires a gradient"):
        x += 1
    with no_grad():
        x.sub_(1)
        assert not (x * 2).requires_grad
    loss.backward()
    assert x.grad.tolist() == [2.0, 4.0]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert x.tolist() == [0.0, 1.0]
    assert (x.requires_grad, x.is_leaf) == (True, True)


def test_requires_grad_follows_the_graph():
    """As in torch: what a gradient flows through requires one; detach and integers do not."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    assert (y.requires_grad, y.is_leaf) == (True, False)
    assert not y.detach().requires_grad
    assert not y.int().requires_grad
    x.requires_grad = False
    assert not y.requires_grad
    y.requires_grad_()
    (y * y).sum().backward()
    assert (x.grad, y.grad.tolist()) == (None, [4.0, 8.0])


def test_backward_takes_the_gradient_of_something_by_it():
    """A result that is no scalar needs one."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).backward(Tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 40.0]
    (found,) = (x * x).gradient(x, gradient=Tensor([1.0, 1.0]))
    assert found.tolist() == [2.0, 4.0]
    with pytest.raises(UsageError, match="the seed is"):
        (x * x).backward(Tensor([1.0]))


def test_a_change_keeps_shape_and_dtype():
    """What would not fit is refused; integers fit floats, not the other way round."""
    x, n = Tensor([1.0, 2.0]), Tensor([1, 2])
    with pytest.raises(UsageError, match="in place"):
        x.add_(Tensor([[1.0], [2.0]]))
    with pytest.raises(UsageError, match="in place"):
        n.mul_(0.5)
    x.add_(n)
    small = Tensor(np.array([200], np.uint8)).add_(10)
    assert (x.tolist(), n.add_(1).tolist(), small.tolist()) == ([2.0, 4.0], [2, 3], [210])


X = {"x": TensorType(DType.FLOAT32, (3,))}
OUTER = Tensor([1.0, 2.0, 3.0])


def run(function):
    """The traced function's result for 1, 2, 3."""
    from engine.backend import open_backend

    loaded = open_backend("reference").load(trace(function, X))
    return loaded({"x": np.array([1, 2, 3], np.float32)})["y"].numpy().tolist()


def accumulated(i):
    """A sum into a tensor that the function made."""
    total = Tensor.zeros(3)
    for _ in range(2):
        total += i["x"]
    total[0] = 9.0
    return {"y": total}


def test_tensors_made_in_a_trace_may_change():
    """Their changes are part of the Program."""
    assert run(accumulated) == [9.0, 4.0, 6.0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda i: {"y": i["x"].add_(1)}, "return what it changes"),
        (lambda i: {"y": i["x"] + OUTER.add_(1)}, "return what it changes"),
        (lambda i: {"y": i["x"], "z": i["x"].__setitem__(0, 1.0)}, "return what it changes"),
        (lambda i: {"y": i["x"][i["x"] > 0]}, "must not look at elements"),
        (lambda i: {"y": i["x"].masked_select(i["x"] > 0)}, "must not look at elements"),
        (lambda i: {"y": i["x"].nonzero()}, "must not look at elements"),
        (lambda i: {"y": i["x"].int().one_hot()}, "must not look at elements"),
        (lambda i: {"y": i["x"] * 2 if i["x"].sum() > 0 else i["x"]}, "must not look at elements"),
        (lambda i: {"y": i["x"][int(i["x"].int().amax())]}, "must not look at elements"),
        (lambda i: {"y": i["x"].tolist()}, "must not look at elements"),
        (lambda i: {"y": i["x"][np.array([2, 0])]}, "captured"),
        (lambda i: {"y": i["x"][:0]}, "not a valid Program"),
    ],
)
def test_a_trace_that_cannot_be_faithful_is_an_error(function, message):
    """Changes of what is outside, and looks at elements."""
    with pytest.raises(TraceError, match=message):
        trace(function, X)
    assert OUTER.tolist() == [1.0, 2.0, 3.0]
