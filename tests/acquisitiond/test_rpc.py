"""JSON-RPC 2.0: what the specification says, and what arrives from people who did not read it."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisitiond import rpc

CALLS: list[Mapping[str, Any]] = []


def subtract(params: Mapping[str, Any]) -> Any:
    rpc.only(params, "minuend", "subtrahend")
    try:
        return params["minuend"] - params["subtrahend"]
    except (KeyError, TypeError):
        raise rpc.RpcError(rpc.INVALID_PARAMS, "two numbers, please") from None


def update(params: Mapping[str, Any]) -> None:
    CALLS.append(params)


def broken(params: Mapping[str, Any]) -> Any:
    raise ZeroDivisionError("secret")


METHODS: dict[str, rpc.Method] = {
    "subtract": subtract,
    "update": update,
    "broken": broken,
    "echo": dict,
    "unspeakable": lambda _: object(),
}


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    CALLS.clear()


def ask(request: Any) -> Any:
    payload = request if isinstance(request, bytes) else orjson.dumps(request)
    response, errors = rpc.handle(payload, METHODS)
    document = None if response is None else orjson.loads(response)
    listed = document if isinstance(document, list) else [document] if document else []
    assert errors == sum("error" in item for item in listed)
    for item in listed:
        assert_is_a_response(item)
    return document


def assert_is_a_response(item: Any) -> None:
    assert item["jsonrpc"] == "2.0"
    assert "id" in item
    assert ("result" in item) != ("error" in item)
    if "error" in item:
        assert isinstance(item["error"]["code"], int)
        assert isinstance(item["error"]["message"], str)


def call(method: Any, number: Any = 1, **rest: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "id": number, **rest}


def error_of(response: Any) -> tuple[Any, int]:
    return response["id"], response["error"]["code"]


def test_a_call_gets_its_result_under_its_id() -> None:
    params = {"minuend": 42, "subtrahend": 23}
    assert ask(call("subtract", 3, params=params)) == {"jsonrpc": "2.0", "id": 3, "result": 19}


@pytest.mark.parametrize("number", ["", "a", 0, -1, 1.5, None, 2**53])
def test_an_id_is_a_string_a_number_or_null_and_comes_back_as_it_went(number: Any) -> None:
    assert ask(call("echo", number))["id"] == number


def test_a_method_without_a_result_answers_null() -> None:
    assert ask(call("update")) == {"jsonrpc": "2.0", "id": 1, "result": None}


def test_a_notification_is_carried_out_and_not_answered() -> None:
    assert ask({"jsonrpc": "2.0", "method": "update", "params": {"a": 1}}) is None
    assert CALLS == [{"a": 1}]


@pytest.mark.parametrize("method", ["foobar", "broken", "unspeakable", "subtract"])
def test_a_notification_that_fails_is_not_answered_either(method: str) -> None:
    assert ask({"jsonrpc": "2.0", "method": method}) is None


def test_an_unknown_method_is_refused_with_those_that_are_known() -> None:
    response = ask(call("foobar", "1"))
    assert error_of(response) == ("1", rpc.METHOD_NOT_FOUND)
    assert "subtract" in response["error"]["message"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
        b'[{"jsonrpc": "2.0", "method": "sum", "id": "1"}, {"jsonrpc": "2.0", "method"',
        b"\xff\x00",
        b"[" * 10_000,
        b'{"jsonrpc":"2.0","method":"echo","id":NaN}',
        b'{"jsonrpc":"2.0","method":"echo","id":"\\ud800"}',
    ],
)
def test_what_is_no_json_is_a_parse_error(payload: bytes) -> None:
    assert error_of(ask(payload)) == (None, rpc.PARSE_ERROR)


@pytest.mark.parametrize(
    "request_",
    [
        1,
        "x",
        None,
        True,
        {},
        {"method": "update", "id": 1},
        {"jsonrpc": "1.0", "method": "update", "id": 1},
        {"jsonrpc": 2.0, "method": "update", "id": 1},
        call("update", True),
        call("update", []),
        call("update", {"a": 1}),
        [],
        [{}] * (rpc.MAX_BATCH + 1),
    ],
)
def test_what_is_no_request_is_refused_without_an_id(request_: Any) -> None:
    assert error_of(ask(request_)) == (None, rpc.INVALID_REQUEST)
    assert CALLS == []


@pytest.mark.parametrize("method", [1, None, [], {}])
def test_a_method_that_is_no_string_is_refused_under_its_id(method: Any) -> None:
    assert error_of(ask(call(method, 7, params="bar"))) == (7, rpc.INVALID_REQUEST)


def test_a_request_without_a_method_is_refused() -> None:
    assert error_of(ask({"jsonrpc": "2.0", "id": 7})) == (7, rpc.INVALID_REQUEST)


@pytest.mark.parametrize("params", [[1, 2], "x", 1, None, True])
def test_parameters_must_have_names(params: Any) -> None:
    assert error_of(ask(call("update", params=params))) == (1, rpc.INVALID_PARAMS)
    assert CALLS == []


def test_an_unknown_parameter_is_refused_by_name_with_those_that_are_known() -> None:
    response = ask(call("subtract", params={"minuend": 1, "subtrahent": 2}))
    assert error_of(response) == (1, rpc.INVALID_PARAMS)
    assert "subtrahent" in response["error"]["message"]
    assert "subtrahend" in response["error"]["message"]


@pytest.mark.parametrize("method", ["broken", "unspeakable"])
def test_a_method_that_breaks_is_an_internal_error_and_keeps_its_secrets(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = ask(call(method))
    assert error_of(response) == (1, rpc.INTERNAL_ERROR)
    assert "secret" not in response["error"]["message"]
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_batch_is_answered_item_by_item_but_for_its_notifications() -> None:
    response = ask(
        [
            call("subtract", "1", params={"minuend": 3, "subtrahend": 1}),
            {"jsonrpc": "2.0", "method": "update", "params": {"a": 7}},
            {"foo": "boo"},
            call("foo.get", "5"),
            1,
            call("echo", "9", params={"b": 2}),
        ]
    )
    assert [item.get("result", item.get("error", {}).get("code")) for item in response] == [
        2,
        rpc.INVALID_REQUEST,
        rpc.METHOD_NOT_FOUND,
        rpc.INVALID_REQUEST,
        {"b": 2},
    ]
    assert [item["id"] for item in response] == ["1", None, "5", None, "9"]
    assert CALLS == [{"a": 7}]


def test_a_batch_of_notifications_is_not_answered() -> None:
    assert ask([{"jsonrpc": "2.0", "method": "update"}] * 3) is None
    assert len(CALLS) == 3


def test_one_that_breaks_does_not_spoil_the_batch() -> None:
    response = ask([call("unspeakable", 1), call("echo", 2), call("broken", 3), call("echo", 4)])
    assert ["error" in item for item in response] == [True, False, True, False]


def test_a_batch_as_large_as_allowed_is_answered() -> None:
    assert len(ask([call("echo", n) for n in range(rpc.MAX_BATCH)])) == rpc.MAX_BATCH


def test_a_result_nested_deeper_than_json_is_written_is_an_error_of_that_request() -> None:
    deep = b"[" * 400 + b"]" * 400
    payload = b'[{"jsonrpc":"2.0","method":"echo","id":1,"params":{"x":%s}}]' % deep
    assert error_of(ask(payload)[0]) == (1, rpc.INTERNAL_ERROR)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
almost_requests = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | json_values,
        "method": st.sampled_from(sorted(METHODS)) | json_values,
        "params": st.dictionaries(st.sampled_from(["minuend", "subtrahend"]), json_values)
        | json_values,
        "id": json_values,
    },
)


@given(st.binary(max_size=200))
def test_any_bytes_get_a_valid_response_or_none(payload: bytes) -> None:
    ask(payload)


@given(almost_requests | st.lists(almost_requests | json_values, max_size=5) | json_values)
def test_any_json_gets_a_valid_response_or_none(document: Any) -> None:
    ask(document)
