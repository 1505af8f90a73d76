"""What acquisitiond can be told, and what it refuses."""

import dataclasses
from typing import Any

import pytest

from acquisitiond.settings import Settings, with_ip_and_port
from common.settings import Loaded, SettingsError, load


def loaded(
    options: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    table: dict[str, Any] | None = None,
) -> Loaded[Settings]:
    file = {} if table is None else {"acquisitiond": table}
    return load(Settings, "acquisitiond", options or {}, environ or {}, file, "ctp10.toml")


def refusal(**options: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(options)
    return str(caught.value)


def test_the_defaults_are_those_of_the_manual() -> None:
    settings = loaded().settings
    assert dataclasses.asdict(settings) == {
        "simulate": False,
        "address": "TCPIP::192.168.1.37::5025::SOCKET",
        "timeout_ms": 5000,
        "modules": (4,),
        "rate": 10.0,
        "max_rate": 100.0,
        "history_mb": 16.0,
        "publish": "tcp://127.0.0.1:5556",
        "control": "tcp://127.0.0.1:5557",
        "metrics_port": 9810,
        "log_level": "INFO",
        "log_format": "text",
    }


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_every_default_would_be_accepted_if_it_were_given(name: str) -> None:
    default = getattr(Settings(), name)
    given = list(default) if isinstance(default, tuple) else default
    assert loaded(table={name: given}).settings == Settings()


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded().settings.rate = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("MOCK_MODE", "true", "simulate", True),
        ("MOCK_MODE", "0", "simulate", False),
        ("CTP10_ADDRESS", "TCPIP::ctp10::5025::SOCKET", "address", "TCPIP::ctp10::5025::SOCKET"),
        ("CTP10_TIMEOUT_MS", "250", "timeout_ms", 250),
        ("DEFAULT_MODULE", "7", "modules", (7,)),
        ("DEFAULT_MODULE", "1,7", "modules", (1, 7)),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
    ],
)
def test_the_environment_sets_it(variable: str, text: str, name: str, value: Any) -> None:
    assert getattr(loaded(environ={variable: text}).settings, name) == value


@pytest.mark.parametrize(
    "address",
    ["TCPIP::10.0.0.1::1::SOCKET", "tcpip0::ctp10.lab::65535::socket", "TCPIP::h::5025::SOCKET"],
)
def test_a_socket_resource_is_an_address(address: str) -> None:
    assert loaded({"address": address}).settings.address == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "192.168.1.37",
        "192.168.1.37:5025",
        "TCPIP::192.168.1.37::INSTR",
        "TCPIP::192.168.1.37::5025",
        "TCPIP::::5025::SOCKET",
        "TCPIP::h::0::SOCKET",
        "TCPIP::h::65536::SOCKET",
        "TCPIP::h::x::SOCKET",
        "TCPIP::h h::5025::SOCKET",
        "TCPIP::h::5025::SOCKET\n",
        "GPIB::1::INSTR",
    ],
)
def test_any_other_address_is_refused_with_an_example(address: str) -> None:
    message = refusal(address=address)
    assert "option --address" in message
    assert "TCPIP::192.168.1.37::5025::SOCKET" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout_ms", "9"),
        ("timeout_ms", "600001"),
        ("timeout_ms", "1.5"),
        ("timeout_ms", "soon"),
        ("modules", ("0",)),
        ("modules", ("21",)),
        ("modules", ("4", "4")),
        ("modules", ("x",)),
        ("rate", "0"),
        ("rate", "nan"),
        ("rate", "-1"),
        ("max_rate", "inf"),
        ("max_rate", "1001"),
        ("publish", "5556"),
        ("publish", "tcp://127.0.0.1"),
        ("publish", "tcp://127.0.0.1:65536"),
        ("publish", "udp://127.0.0.1:5556"),
        ("control", "ipc://"),
        ("metrics_port", "-1"),
        ("log_level", "LOUD"),
        ("log_format", "xml"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name_with_what_is(name: str, value: Any) -> None:
    message = refusal(**{name: value})
    assert name in message
    assert "option --" in message
    assert "expected" in message


def test_a_rate_above_the_greatest_is_refused() -> None:
    message = refusal(rate="50", max_rate="20")
    assert "rate = 50" in message
    assert "max_rate = 20" in message


# --- CTP10_IP and CTP10_PORT ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({"CTP10_IP": "10.0.0.9"}, "TCPIP::10.0.0.9::5025::SOCKET"),
        ({"CTP10_PORT": "5026"}, "TCPIP::192.168.1.37::5026::SOCKET"),
        ({"CTP10_IP": "ctp10.lab", "CTP10_PORT": "1"}, "TCPIP::ctp10.lab::1::SOCKET"),
        ({"CTP10_IP": "10.0.0.9", "CTP10_ADDRESS": ""}, "TCPIP::10.0.0.9::5025::SOCKET"),
        (
            {"CTP10_IP": "10.0.0.9", "CTP10_ADDRESS": "TCPIP::other::5025::SOCKET"},
            "TCPIP::other::5025::SOCKET",
        ),
        ({}, "TCPIP::192.168.1.37::5025::SOCKET"),
        ({"CTP10_IP": "", "CTP10_PORT": ""}, "TCPIP::192.168.1.37::5025::SOCKET"),
    ],
)
def test_ip_and_port_stand_for_an_address_that_is_not_given(
    environ: dict[str, str], address: str
) -> None:
    assert loaded(environ=dict(with_ip_and_port(environ))).settings.address == address


def test_ip_and_port_leave_the_rest_of_the_environment_alone() -> None:
    environ = {"CTP10_IP": "10.0.0.9", "LOG_LEVEL": "ERROR"}
    assert loaded(environ=dict(with_ip_and_port(environ))).settings.log_level == "ERROR"
    assert "CTP10_ADDRESS" not in environ


@pytest.mark.parametrize(
    "port",
    [
        "0",
        "65536",
        "-1",
        "x",
        "5025 ",
        "5_025",
        "\N{SUPERSCRIPT TWO}",
    ],
)
def test_a_bad_port_is_refused_by_the_name_of_its_variable(port: str) -> None:
    with pytest.raises(SettingsError, match=r"CTP10_PORT.*environment.*1 to 65535"):
        with_ip_and_port({"CTP10_PORT": port})


def test_a_bad_ip_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"10\.0\.0\.9:5025"):
        loaded(environ=dict(with_ip_and_port({"CTP10_IP": "10.0.0.9:5025"})))
