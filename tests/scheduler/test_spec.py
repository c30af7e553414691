"""Job files: what is accepted, and that a wrong one names the field, the value and the rule."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.errors import SpecError
from scheduler.spec import ERRORS_SHOWN_MAX, SPEC_BYTES_MAX, WEI_MAX, Price, parse_spec

GOOD = """
name = "digits"

[training]
rounds = 8
slots = 4
steps = 20
trace_every = 5
batch = 32

[programs]
step = "step.program"
result = "result.program"
aggregate = "aggregate.program"
outer = "outer.program"
evaluate = "evaluate.program"

[data]
state = "state.safetensors"
train = "data/train.safetensors"
test = "data/test.safetensors"

[budget]
price_wei_per_gflop = 1_000_000_000_000_000_000
budget_wei = 340282366920938463463374607431768211455

[limits]
deadline_s = 3600
unit_timeout_s = 60
"""


def refuse(old: str, new: str) -> str:
    """The message for a good file with one replacement."""
    assert old in GOOD
    with pytest.raises(SpecError) as caught:
        parse_spec(GOOD.replace(old, new))
    return str(caught.value)


def test_good_file_is_read_as_written() -> None:
    """Every field arrives; amounts may be as large as the contracts keep."""
    spec = parse_spec(GOOD)
    assert (spec.name, spec.training.rounds, spec.training.batch) == ("digits", 8, 32)
    assert spec.data.train == "data/train.safetensors"
    assert spec.budget.budget_wei == WEI_MAX


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rounds = 8", "rounds = 0", "training.rounds = 0: should be greater than or equal to 1"),
        ("slots = 4", "slots = 65", "training.slots = 65: should be less than or equal to 64"),
        ("steps = 20", 'steps = "20"', "training.steps = '20': should be a valid integer"),
        ("steps = 20", "steps = true", "training.steps = True: should be a valid integer"),
        ("batch = 32", "batch = 1.5", "training.batch = 1.5: should be a valid integer"),
        (
            "trace_every = 5",
            "trace_every = 21",
            "training: trace_every = 21 must not exceed steps = 20",
        ),
        ("slots = 4\n", "", "training.slots: missing; this field is required"),
        ("slots = 4", "slots = 4\nslotz = 3", "training.slotz = 3: there is no such field"),
        ('"digits"', '"Digits!"', "name = 'Digits!': String should match pattern"),
        (
            '"step.program"',
            '"../step.program"',
            "programs.step = '../step.program': must be a path relative to the job file, "
            "inside its folder",
        ),
        ('"step.program"', '"/etc/passwd"', "programs.step = '/etc/passwd': must be a path"),
        (
            "unit_timeout_s = 60",
            "unit_timeout_s = 3601",
            "limits: unit_timeout_s = 3601 must not exceed deadline_s = 3600",
        ),
        ("budget_wei = 3", "budget_wei = -3", "budget.budget_wei = -3"),
        (
            "budget_wei = 3",
            'budget = "3"\nbudget_wei = 3',
            "budget: one of budget_wei and budget must be given, and not both",
        ),
        (
            "price_wei_per_gflop = 1",
            'price_per_gflop = "1e9"\n#',
            "budget.price_per_gflop = '1e9': must be a decimal number in quotes",
        ),
        (
            "price_wei_per_gflop = 1",
            "price_per_gflop = 1.5\n#",
            "budget.price_per_gflop = 1.5: must be a decimal number in quotes, such as",
        ),
        ("[budget]", '[budget]\ntoken = "US DX"', "budget.token = 'US DX': String should match"),
        ("[limits]", "[limit]", "limits: missing; this field is required"),
        ('name = "digits"', "name = ", "not valid TOML"),
    ],
)
def test_wrong_field_is_named_with_value_and_rule(old: str, new: str, expected: str) -> None:
    """Each message starts with the dotted field and says what it must be."""
    assert any(line.startswith(expected) for line in refuse(old, new).splitlines())


def test_prices_in_whole_units_follow_the_tokens_decimals() -> None:
    """Exactly, also below a smallest unit; the whole must fit the contracts."""
    spec = parse_spec(
        GOOD.replace("price_wei_per_gflop = 1_000_000_000_000_000_000", 'price_per_gflop = "0.3"')
        .replace(f"budget_wei = {WEI_MAX}", 'budget = "20.5"')
        .replace("[budget]", '[budget]\ntoken = "USDX"')
    )
    assert (spec.budget.token, spec.budget.in_whole, spec.budget.in_units) == ("USDX", True, False)
    assert spec.budget.price(6) == Price(Fraction(300_000), 20_500_000)
    assert spec.budget.price(0) == Price(Fraction(3, 10), 20)
    with pytest.raises(SpecError, match="below 2\\^128"):
        spec.budget.price(39)
    assert parse_spec(GOOD).budget.price(0) == Price(Fraction(10**18), WEI_MAX)


def test_every_wrong_field_has_its_line() -> None:
    """A user mends a file in one go."""
    with pytest.raises(SpecError) as caught:
        parse_spec(GOOD.replace("rounds = 8", "rounds = -1").replace("batch = 32", "batch = 0"))
    assert len(str(caught.value).splitlines()) == 2


def test_a_long_value_or_strange_name_is_shown_bounded_and_printable() -> None:
    """A hostile file cannot fill or steer the terminal."""
    strange = '"\\u001b[2J' + "x" * 5000 + '" = 1\n'
    with pytest.raises(SpecError) as caught:
        parse_spec(strange + GOOD.replace('"digits"', '"' + "D" * 5000 + '"'))
    message = str(caught.value)
    assert len(message) < 1000
    assert "\x1b" not in message


def test_many_errors_are_cut_off() -> None:
    """The number of lines is bounded."""
    with pytest.raises(SpecError) as caught:
        parse_spec("".join(f"x{i} = 1\n" for i in range(100)) + GOOD)
    assert len(str(caught.value).splitlines()) == ERRORS_SHOWN_MAX + 1


def test_too_long_a_file_is_refused_before_it_is_parsed() -> None:
    """The bound is in the message."""
    with pytest.raises(SpecError, match=str(SPEC_BYTES_MAX)):
        parse_spec("#" * (SPEC_BYTES_MAX + 1))


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but SpecError comes out of strange text."""
    with pytest.raises(SpecError):
        parse_spec(text)
