"""What parameters say, in numbers and in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.types import Parameter
from node.cli.gov_propose import _parse_value
from node.cli.params import readable
from node.errors import BadInput
from node.parameters import MEANINGS, VERSION_MAX, Versions, unit_of, value_of, versions_of

VERSIONS = st.sets(st.integers(1, VERSION_MAX), min_size=1)


def test_every_parameter_has_a_meaning_and_a_unit() -> None:
    """`ainur params` has a line for each."""
    assert set(MEANINGS) == set(Parameter)
    assert unit_of(Parameter.ARITHMETIC_VERSIONS) == "versions"


@given(VERSIONS)
def test_a_set_of_versions_is_one_number_and_back(versions: set[int]) -> None:
    """As people write it, as the chain stores it."""
    value = value_of(versions)
    assert versions_of(value) == tuple(sorted(versions))
    label = Parameter.MANIFEST_VERSIONS.label
    assert _parse_value(label, ",".join(map(str, versions))) == value
    assert readable(label, value) in ("any", ",".join(map(str, sorted(versions))))


@given(VERSIONS, VERSIONS, st.integers(1, VERSION_MAX), st.integers(1, VERSION_MAX))
def test_a_job_is_taken_if_both_its_versions_are_accepted(
    arithmetics: set[int], manifests: set[int], arithmetic: int, manifest: int
) -> None:
    """Else the refusal names the one that is not."""
    refusal = Versions(value_of(arithmetics), value_of(manifests)).refusal(arithmetic, manifest)
    assert (not refusal) == (arithmetic in arithmetics and manifest in manifests)
    assert (arithmetic in arithmetics) or f"arithmetic version is {arithmetic}" in refusal


@pytest.mark.parametrize("text", ["", "0", "64", "1,,2", "one", "-1", "1.5"])
def test_what_is_no_set_of_versions_is_refused_with_its_value(text: str) -> None:
    """Nobody votes a version away by a slip."""
    with pytest.raises(BadInput, match="must be versions from 1 to 63") as caught:
        _parse_value("arithmeticVersions", text)
    assert repr(text) in caught.value.message
