"""What a request wants, and every way to ask for what there is not."""

import math
from typing import get_args
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctp10.wire import MODULES
from wsbridge.bucket import Mode
from wsbridge.request import (
    DEFAULT_INTERVAL,
    MODES,
    HealthRequest,
    PageRequest,
    PowerRequest,
    Refusal,
    Request,
    parse,
)

PAGES = frozenset({"/", "/app.js", "/healthz", "/readyz", "/metrics"})


def ask(target: str, method: str = "GET", *, websocket: bool = True) -> Request:
    return parse(method, target, websocket, PAGES)


def refusal(target: str, method: str = "GET", *, websocket: bool = True) -> Refusal:
    result = ask(target, method, websocket=websocket)
    assert isinstance(result, Refusal)
    orjson.dumps(result.body)
    assert result.body["error"]
    return result


# --- what is allowed -----------------------------------------------------------------------------


def test_a_power_stream_has_defaults() -> None:
    assert ask("/ws/power") == PowerRequest(None, DEFAULT_INTERVAL, "latest")
    assert DEFAULT_INTERVAL == 0.1


@pytest.mark.parametrize(
    ("query", "module", "interval"),
    [
        ("module=4&interval=0.1", 4, 0.1),
        ("interval=0.25&module=20", 20, 0.25),
        ("module=1", 1, 0.1),
        ("interval=0.01", None, 0.01),
        ("interval=10", None, 10.0),
        ("interval=10.000", None, 10.0),
        ("interval=.5", None, 0.5),
        ("interval=1.", None, 1.0),
        ("module=%34", 4, 0.1),
        ("", None, 0.1),
        ("&", None, 0.1),
    ],
)
def test_a_power_stream_has_a_module_and_an_interval(
    query: str, module: int | None, interval: float
) -> None:
    assert ask(f"/ws/power?{query}") == PowerRequest(module, interval, "latest")


@pytest.mark.parametrize("module", MODULES)
def test_every_module_of_the_mainframe_may_be_asked_for(module: int) -> None:
    assert ask(f"/ws/power?module={module}") == PowerRequest(module, 0.1, "latest")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_may_be_asked_for(mode: Mode) -> None:
    assert ask(f"/ws/power?mode={mode}") == PowerRequest(None, 0.1, mode)


@pytest.mark.parametrize("mode", ["", "Latest", "mean ", "median", "mean,latest", "\N{SNOWMAN}"])
def test_a_bad_mode_is_refused_with_what_is_allowed(mode: str) -> None:
    result = refusal(f"/ws/power?mode={quote(mode)}")
    assert (result.status, result.body["parameter"]) == (400, "mode")
    assert result.body["allowed"] == "one of latest, mean, envelope"


@given(st.floats(0.01, 10))
def test_every_interval_from_a_hundredth_to_ten_seconds_may_be_asked_for(interval: float) -> None:
    result = ask(f"/ws/power?interval={interval:.4f}")
    assert isinstance(result, PowerRequest)
    assert math.isclose(result.interval, interval, abs_tol=1e-4)


def test_health_has_no_parameters() -> None:
    assert ask("/ws/health") == HealthRequest()
    assert refusal("/ws/health?module=4").body["parameter"] == "module"


@pytest.mark.parametrize("path", sorted(PAGES))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page_is_a_page_whatever_its_query(path: str, method: str) -> None:
    assert ask(path, method, websocket=False) == PageRequest(path)
    assert ask(f"{path}?v=1#top", method, websocket=False) == PageRequest(path)


# --- bad parameters ------------------------------------------------------------------------------

BAD_MODULES = [
    "",
    "0",
    "00",
    "21",
    "100",
    "x",
    "-4",
    "+4",
    " 4",
    "4 ",
    "4.0",
    "4e0",
    "1_0",
    "0x4",
    "4;5",
    "4,5",
    "None",
    "4\x00",
    "4\n",
    "\N{ARABIC-INDIC DIGIT FOUR}",
    "\N{FULLWIDTH DIGIT FOUR}",
    "\N{SUPERSCRIPT TWO}",
    "9" * 5000,
]
BAD_INTERVALS = [
    "",
    "0",
    "0.005",
    "0.0099999",
    "10.0001",
    "15",
    "-0.1",
    "+0.1",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "infinity",
    "1e-1",
    "1e-1?",
    "1E0",
    "0x1",
    "1_0",
    "0,1",
    ".",
    " 1",
    "1 ",
    "1\n",
    "0.1s",
    "\N{ARABIC-INDIC DIGIT FOUR}",
    "1.\N{FULLWIDTH DIGIT FOUR}",
    "1" * 5000,
    "0." + "0" * 5000 + "1",
]


@pytest.mark.parametrize("value", BAD_MODULES)
def test_a_bad_module_is_refused_with_what_is_allowed(value: str) -> None:
    result = refusal(f"/ws/power?module={quote(value)}")
    assert (result.status, result.reason) == (400, "parameter")
    assert result.body["parameter"] == "module"
    assert result.body["allowed"] == "a whole number from 1 to 20"
    assert len(result.body["error"]) < 400


@pytest.mark.parametrize("value", BAD_INTERVALS)
def test_a_bad_interval_is_refused_with_what_is_allowed(value: str) -> None:
    result = refusal(f"/ws/power?interval={quote(value)}")
    assert (result.status, result.reason) == (400, "parameter")
    assert result.body["parameter"] == "interval"
    assert result.body["allowed"] == "seconds, a decimal number from 0.01 to 10"
    assert len(result.body["error"]) < 400


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("module=4&module=4", "module"),
        ("module=4&module=5", "module"),
        ("interval=1&module=4&interval=1", "interval"),
        ("x=1&x=1", "x"),
    ],
)
def test_a_parameter_given_twice_is_refused_even_if_it_says_the_same(
    query: str, parameter: str
) -> None:
    result = refusal(f"/ws/power?{query}")
    assert result.status == 400
    assert result.body["parameter"] == parameter
    assert result.body["allowed"] == "to be given once"


@pytest.mark.parametrize("name", ["Module", "modul", "rate", "", "\N{SNOWMAN}", "x" * 5000])
def test_an_unknown_parameter_is_refused_with_the_known_ones(name: str) -> None:
    result = refusal(f"/ws/power?module=4&{quote(name)}=1")
    assert result.status == 400
    assert result.body["parameter"] == name[:40]
    assert "module, interval" in result.body["allowed"]


# --- bad paths and methods -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/ws",
        "/ws/",
        "/ws/power/",
        "/ws/Power",
        "/ws/powers",
        "/ws/power/../health",
        "/../etc/passwd",
        "/ws%2Fpower",
        "/x" * 5000,
        "",
        "*",
        "http://[",
        "\N{SNOWMAN}",
    ],
)
def test_an_unknown_path_is_refused_with_the_known_ones(target: str) -> None:
    result = refusal(target)
    assert (result.status, result.reason) == (404, "path")
    assert {"/ws/power", "/ws/health", "/"} <= set(result.body["allowed"])
    assert len(result.body["error"]) < 200


@pytest.mark.parametrize("target", ["/", "/healthz", "/ws/power", "/ws/health"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get", "", "X" * 500])
def test_another_method_is_refused(target: str, method: str) -> None:
    result = refusal(target, method)
    assert (result.status, result.reason) == (405, "method")
    assert len(result.body["error"]) < 100


@pytest.mark.parametrize("target", ["/ws/power?module=4", "/ws/health"])
def test_a_stream_asked_for_by_plain_http_is_refused_with_a_hint(target: str) -> None:
    result = refusal(target, websocket=False)
    assert (result.status, result.reason) == (426, "upgrade")
    assert "ws://" in result.body["error"]
    assert refusal(target, "HEAD", websocket=False).status == 405


# --- properties ----------------------------------------------------------------------------------

queries = st.lists(
    st.tuples(
        st.sampled_from(["module", "interval", "since", ""]) | st.text(max_size=5),
        st.sampled_from(["4", "0.1", "21", "nan"]) | st.text(max_size=8),
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))


@given(
    st.sampled_from(["GET", "HEAD", "POST"]) | st.text(max_size=8),
    st.text(max_size=60)
    | st.builds("{}?{}".format, st.sampled_from(["/ws/power", "/ws/health", "/"]), queries),
    st.booleans(),
)
def test_any_request_is_understood_or_refused_in_json(
    method: str, target: str, websocket: bool
) -> None:
    match result := parse(method, target, websocket, PAGES):
        case PowerRequest(module, interval, mode):
            assert method == "GET"
            assert websocket
            assert module is None or module in MODULES
            assert 0.01 <= interval <= 10
            assert mode in MODES
        case PageRequest(path):
            assert path in PAGES
        case Refusal(status, _, body):
            assert status in {400, 404, 405, 426}
            assert len(orjson.dumps(body)) < 2000
    assert isinstance(result, get_args(Request))
