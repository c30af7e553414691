"""The canonical bytes of a Program: one encoding each, strangers' bytes refused."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import DType, Limits, Program, ProgramError, TensorType, decode, encode, gradient, trace
from engine import functional as F
from engine.commitment import NODE, ROOT, leaf_hash
from engine.emit import Target
from engine.kernels import generate
from engine.ops import Op
from engine.program import Node
from engine.schedule import schedule


def example():
    """A small training step: gathers, scatters, folds, products, casts."""

    def step(i):
        x = i["table"][i["rows"]]
        loss = F.cross_entropy(F.gelu(x @ i["weight"]), i["target"])
        by_weight, by_table = gradient(loss, i["weight"], i["table"])
        return {
            "loss": loss,
            "weight": i["weight"] - by_weight * 0.1,
            "table": i["table"] - by_table.flip(0).pad(((1, 0), (0, 0)))[1:] * 0.1,
            "seen": (i["rows"] + 1).max() << 2,
        }

    return trace(
        step,
        {
            "table": TensorType(DType.FLOAT32, (7, 3)),
            "rows": TensorType(DType.INT32, (5,)),
            "weight": TensorType(DType.FLOAT32, (3, 4)),
            "target": TensorType(DType.INT32, (5,)),
        },
    )


EXAMPLE = example()
BYTES = encode(EXAMPLE)

SCALAR = Program((Node(Op.INPUT, DType.FLOAT32, ()),), (("x", 0),), (("x", 0),))
SCALAR_BYTES = bytes.fromhex("41494e50 00 01 01 01 01 78 00 01 01 78 00 01 01 00 00")


def test_example_round_trips():
    """decode is the inverse of encode."""
    assert decode(BYTES) == EXAMPLE
    assert decode(BYTES).digest == EXAMPLE.digest


def test_bytes_are_as_documented():
    """The smallest Program has the documented bytes."""
    assert encode(SCALAR) == SCALAR_BYTES
    assert decode(SCALAR_BYTES) == SCALAR


def test_attributes_are_zigzag_coded():
    """Negative strides survive."""
    nodes = (
        Node(Op.INPUT, DType.INT32, (300,)),
        Node(Op.VIEW, DType.INT32, (300,), (0,), (299, -1)),
    )
    program = Program(nodes, (("x", 0),), (("y", 1),))
    assert decode(encode(program)) == program
    assert encode(program).endswith(bytes([30, 2, 1, 0xAC, 2, 0, 2, 0xD6, 4, 1]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends at byte 0"),
        (b"AIN", "ends at byte 3"),
        (b"XXXX" + SCALAR_BYTES[4:], "not a Program"),
        (SCALAR_BYTES[:4] + b"\x01" + SCALAR_BYTES[5:], "format version 1"),
        (SCALAR_BYTES[:5] + b"\x63" + SCALAR_BYTES[6:], "arithmetic version 99"),
        (SCALAR_BYTES[:4] + b"\x80\x00" + SCALAR_BYTES[5:], "too many bytes"),
        (SCALAR_BYTES[:4] + b"\xff" * 9 + SCALAR_BYTES[5:], "2\\*\\*63"),
        (
            SCALAR_BYTES[:6] + b"\xff\xff\xff\x7f" + SCALAR_BYTES[7:],
            "nodes: 268435455, over the limit of 65536",
        ),
        (SCALAR_BYTES[:6] + b"\x00\x00\x00", "no output"),
        (SCALAR_BYTES[:7] + b"\xff\xff\x7f" + SCALAR_BYTES[8:], "names: 2097151, over"),
        (SCALAR_BYTES[:8] + b"\xff\x7f" + SCALAR_BYTES[9:], "name bytes: 16383, over"),
        (SCALAR_BYTES[:9] + b"\xe9" + SCALAR_BYTES[10:], "is not letters"),
        (SCALAR_BYTES[:-4] + b"\x63\x01\x00\x00", "unknown op 99"),
        (SCALAR_BYTES[:-4] + b"\x01\x63\x00\x00", "unknown dtype 99"),
        (SCALAR_BYTES[:-2] + b"\x0d" + b"\x01" * 13 + b"\x00", "rank: 13, over"),
        (SCALAR_BYTES[:-1] + b"\x21" + b"\x00" * 33, "attributes: 33, over"),
        (SCALAR_BYTES + b"\x00", "1 bytes after"),
        (SCALAR_BYTES[:-2] + b"\xff" * 8 + b"\x7f" + b"\x01" * 13, "in the middle"),
        (SCALAR_BYTES[:-1] + b"\xff" * 8 + b"\x7f" + b"\x00" * 33, "in the middle"),
        (SCALAR_BYTES[:-1], "in the middle"),
        (SCALAR_BYTES + bytes(5_000_000), "over the limit of 4194304"),
    ],
)
def test_malformed_bytes_are_refused(data, message):
    """Every kind of damage has its message."""
    with pytest.raises(ProgramError, match=message):
        decode(data)


def test_every_truncation_is_refused():
    """No proper prefix is a Program."""
    for length in [*range(100), *range(100, len(BYTES), 17), len(BYTES) - 1]:
        with pytest.raises(ProgramError):
            decode(BYTES[:length])


def test_limits_are_the_callers():
    """A tighter limit refuses what the default accepts."""
    with pytest.raises(ProgramError, match="nodes"):
        decode(BYTES, Limits(nodes=5))
    with pytest.raises(ProgramError, match="limit of 100"):
        decode(BYTES, Limits(program_bytes=100))


def test_what_bytes_cannot_say_is_refused():
    """encode raises ProgramError for numbers and names outside of the format."""
    for node in (Node(Op.INPUT, DType.INT32, (-1,)), Node(Op.INPUT, DType.INT32, (2**63,))):
        with pytest.raises(ProgramError, match=r"2\*\*63"):
            encode(Program((node,), (("x", 0),), (("x", 0),)))
    with pytest.raises(ProgramError, match="ASCII"):
        encode(Program(SCALAR.nodes, (("ä", 0),), (("x", 0),)))


def test_digest_covers_everything():
    """Any change of the table, the names or the version changes the digest."""
    variants = [
        SCALAR,
        Program(SCALAR.nodes, (("y", 0),), (("x", 0),)),
        Program(SCALAR.nodes, (("x", 0),), (("y", 0),)),
        Program((Node(Op.INPUT, DType.INT32, ()),), (("x", 0),), (("x", 0),)),
        Program((Node(Op.INPUT, DType.FLOAT32, (1,)),), (("x", 0),), (("x", 0),)),
        Program(SCALAR.nodes, SCALAR.inputs, SCALAR.outputs, arithmetic_version=2),
    ]
    assert len({variant.digest for variant in variants}) == len(variants)


def test_one_node_can_be_opened():
    """The digest is a bound Merkle root over header and nodes: a path proves a node."""
    header, node = SCALAR.leaves
    assert node == SCALAR_BYTES[-4:]
    tree = hashlib.sha256(NODE + leaf_hash(header) + leaf_hash(node)).digest()
    assert SCALAR.digest == hashlib.sha256(ROOT + (2).to_bytes(8, "big") + tree).digest()


@settings(max_examples=400, deadline=1000)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_never_crash(data, has_header):
    """Random bytes, also after a good start, give ProgramError or a Program that re-encodes."""
    assert_refused_or_canonical((SCALAR_BYTES[:6] if has_header else b"") + data)


@settings(max_examples=300, deadline=1000)
@given(st.data())
def test_mutated_programs_never_crash(data):
    """A valid Program with bytes changed, cut out or put in is refused or is another Program."""
    mutated = bytearray(BYTES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        kind = data.draw(st.sampled_from(["set", "insert", "delete", "flip"]))
        byte = data.draw(st.integers(0, 255))
        if kind == "set":
            mutated[at] = byte
        elif kind == "insert":
            mutated.insert(at, byte)
        elif kind == "delete":
            del mutated[at]
        else:
            mutated[at] ^= 1 << byte % 8
    assert_refused_or_canonical(bytes(mutated))


def assert_refused_or_canonical(data):
    """ProgramError, or the one encoding of a Program."""
    try:
        program = decode(data)
    except ProgramError:
        return
    assert encode(program) == data


def test_decoded_mutants_run_or_are_refused():
    """What decode accepts runs on the reference: flips of single bits in a small Program."""
    from engine.backend import open_backend

    small = trace(
        lambda i: {"y": (i["x"][1:].flip(0).pad(((1, 1),)) * 2.0).sum().exp()},
        {"x": TensorType(DType.FLOAT32, (5,))},
    )
    backend, ran = open_backend("reference"), 0
    for bit in range(0, 8 * len(encode(small)), 3):
        data = bytearray(encode(small))
        data[bit // 8] ^= 1 << bit % 8
        try:
            program = decode(bytes(data))
        except ProgramError:
            continue
        if max(node.size for node in program.nodes) > 10_000:
            continue
        inputs = {
            name: np.ones(kind.shape, kind.dtype.numpy)
            for name, kind in program.input_types.items()
        }
        assert backend.load(program)(inputs).keys() == program.output_types.keys()
        ran += 1
    assert ran > 20


def test_what_no_job_can_ask_for_is_refused_by_its_cost():
    """Legal shapes that add up to more than anybody computes: a number, not an overflow."""
    side = 2**15
    nodes = [Node(Op.INPUT, DType.FLOAT32, (1,))]
    shape = (1, side, side)
    nodes += [Node(Op.VIEW, DType.FLOAT32, shape, (0,), (0, 0, 0, 0))]
    for _ in range(2**14 + 1):
        nodes.append(Node(Op.DOT, DType.FLOAT32, shape, (len(nodes) - 1, 1)))
    program = Program(tuple(nodes), (("x", 0),), (("y", len(nodes) - 1),))
    with pytest.raises(ProgramError, match=r"flops: \d{19}, over the limit of 1152921"):
        decode(encode(program))
    with pytest.raises(ProgramError, match=r"bytes moved: \d+, over the limit of 1000"):
        decode(BYTES, Limits(bytes_moved=1000))
    assert decode(BYTES, Limits(bytes_moved=10**6, flops=10**6)) == EXAMPLE


@pytest.mark.parametrize("op", [Op.VIEW, Op.PAD, Op.ADD])
def test_depth_is_no_danger(op):
    """Nothing recurses: the longest chain of nodes becomes kernels."""
    nodes = [Node(Op.INPUT, DType.INT32, (4, 2))]
    while len(nodes) < 1500:  # a good deal more than Python recurses
        at, shape = len(nodes) - 1, nodes[-1].shape
        match op:
            case Op.ADD:
                nodes.append(Node(op, DType.INT32, shape, (at, at)))
            case Op.VIEW:
                nodes.append(Node(op, DType.INT32, shape[::-1], (at,), (0, 1, shape[1])))
            case _:
                shape = (shape[0] + 1, 2)
                low = len(nodes) % 2
                nodes.append(Node(op, DType.INT32, shape, (at,), (low, 1 - low, 0, 0)))
    program = decode(encode(Program(tuple(nodes), (("x", 0),), (("y", len(nodes) - 1),))))
    for is_gpu in (False, True):
        kernels = generate(program, schedule(program), Target(is_gpu, 2))
        assert max(len(kernel.text) for kernel in kernels) < 50_000
