"""The fast path of canonical JSON writes the very bytes RFC 8785 asks for."""

from __future__ import annotations

from decimal import Decimal

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from proxy.canonical import canonical_json, digest, json_number, number_text
from proxy.model import Json

_INTS = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | _INTS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_JSON)
def test_equals_rfc8785(value: Json) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(st.floats(min_value=-1e16, max_value=1e16, allow_nan=False))
def test_floats_equal_rfc8785(value: float) -> None:
    assert canonical_json([value]) == rfc8785.dumps([value])


@given(st.characters(max_codepoint=0x2100, exclude_categories=["Cs"]))
def test_every_character_is_escaped_as_rfc8785_does(character: str) -> None:
    assert canonical_json({"a" + character: character}) == rfc8785.dumps(
        {"a" + character: character}
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param(Decimal("45.50"), b"45.5", id="a decimal that a double holds is a number"),
        pytest.param(Decimal("5"), b"5", id="a whole decimal is an integer"),
        pytest.param(Decimal("0.1234567890123456789"), b'"0.1234567890123456789"', id="too fine"),
        pytest.param(Decimal("1e99999999"), b'"1E+99999999"', id="an exponent that overflows"),
        pytest.param(Decimal("1e-99999999"), b'"1E-99999999"', id="an exponent that underflows"),
        pytest.param(2**53, b'"9007199254740992"', id="an integer no double tells apart"),
        pytest.param(1e21, b"1e+21", id="an exponent as ECMAScript writes it"),
        pytest.param({"é": 1, "e": 2}, '{"e":2,"é":1}'.encode(), id="keys outside ASCII"),
    ],
)
def test_written(value: Json, written: bytes) -> None:
    assert canonical_json(value) == written


def test_neighbours_beyond_a_double_have_different_digests() -> None:
    assert digest([2**53]) != digest([2**53 + 1])


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9
    )
)
def test_a_number_keeps_its_value(amount: Decimal) -> None:
    assert Decimal(str(json_number(amount))) == amount


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        "\ud800",
        {1: 2},
        object(),
    ],
    ids=["nan", "decimal-nan", "signalling-nan", "infinity", "surrogate", "int-key", "object"],
)
def test_what_has_no_json_form_is_refused(value: Json) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical_json(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("45.00", "45"),
        ("100", "100"),
        ("1E+2", "100"),
        ("0.50", "0.5"),
        ("0.00", "0"),
        ("123456789012345678.123456789012345678", "123456789012345678.123456789012345678"),
    ],
    ids=["cents", "hundred", "exponent", "half", "zero", "all-digits"],
)
def test_a_number_is_shown_with_all_its_digits_and_no_more(value: str, text: str) -> None:
    assert number_text(Decimal(value)) == text
