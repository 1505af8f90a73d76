"""Option over environment over file over default; what is wrong is named, and ends with code 2."""

import importlib
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from common import settings
from common.settings import (
    ENDPOINT,
    SWITCH,
    Kind,
    Loaded,
    SettingsError,
    choice,
    config_path,
    integer,
    load,
    load_service,
    number,
    read_file,
    setting,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Settings of a service that makes tea."""

    cups: int = setting(2, integer(1, 12), "cups to make", env="TEA_CUPS")
    minutes: float = setting(3.0, number(0.5, 10), "how long to wait")
    kinds: tuple[int, ...] = setting((1,), integer(1, 5, many=True), "kinds", env="TEA_KINDS")
    milk: bool = setting(False, SWITCH, "pour milk", env="TEA_MILK")
    pot: str = setting("brown", choice("brown", "Blue"), "which pot", metavar="POT")


def loaded(
    options: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    table: Any = None,
) -> Loaded[Sample]:
    file = {} if table is None else {"tea": table}
    return load(Sample, "tea", options or {}, environ or {}, file, "ctp10.toml")


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as caught:
        call()
    assert caught.value.exit_code == 2
    return caught.value.message


# --- precedence ----------------------------------------------------------------------------------


def test_the_default_holds_where_nothing_is_given() -> None:
    result = loaded()
    assert result.settings == Sample()
    assert set(result.origins.values()) == {"default"}


def test_option_beats_environment_beats_file_beats_default() -> None:
    options, environ, table = {"cups": "5"}, {"TEA_CUPS": "4"}, {"cups": 3}
    for given_, cups, origin in [
        ((options, environ, table), 5, "option --cups"),
        (({}, environ, table), 4, "environment TEA_CUPS"),
        (({}, {}, table), 3, "ctp10.toml [tea]"),
        (({}, {}, {}), 2, "default"),
    ]:
        result = loaded(*given_)
        assert result.settings.cups == cups
        assert result.origins["cups"] == origin


def test_an_option_that_was_not_given_and_an_empty_variable_count_for_nothing() -> None:
    result = loaded({"cups": None, "kinds": ()}, {"TEA_CUPS": "", "TEA_KINDS": ""}, {"cups": 3})
    assert result.settings == Sample(cups=3)


def test_a_switch_that_the_file_turned_on_can_be_turned_off_by_the_environment() -> None:
    assert loaded(environ={"TEA_MILK": "off"}, table={"milk": True}).settings.milk is False


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        loaded().settings.cups = 3  # type: ignore[misc]


# --- what is refused -----------------------------------------------------------------------------


def test_a_bad_value_names_key_origin_and_what_is_allowed() -> None:
    for call, origin in [
        (lambda: loaded({"cups": "13"}), "option --cups"),
        (lambda: loaded(environ={"TEA_CUPS": "13"}), "environment TEA_CUPS"),
        (lambda: loaded(table={"cups": "13"}), "ctp10.toml [tea]"),
    ]:
        message = refusal(call)
        assert message == (
            f"cups = '13' (from {origin}) is not allowed: expected a whole number from 1 to 12"
        )


def test_a_bad_value_is_refused_though_a_better_one_was_overridden_by_it() -> None:
    assert "TEA_CUPS" in refusal(lambda: loaded(environ={"TEA_CUPS": "x"}, table={"cups": 3}))


def test_an_unknown_key_is_named_with_the_known_ones() -> None:
    message = refusal(lambda: loaded(table={"cup": 3}))
    assert message.startswith("unknown key 'cup' in [tea] of ctp10.toml")
    assert "cups, minutes, kinds, milk, pot" in message


@pytest.mark.parametrize("table", [3, "x", [1], True])
def test_a_section_that_is_no_table_is_refused(table: Any) -> None:
    assert "[tea]" in refusal(lambda: loaded(table=table))


def test_the_option_of_a_list_is_named_in_the_singular() -> None:
    assert "option --kind)" in refusal(lambda: loaded({"kinds": ("9",)}))


def parsed(kind: Kind, value: Any) -> Any:
    try:
        return kind.parse(value)
    except (ValueError, OverflowError):
        return "refused"


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (integer(1, 12), "7", 7),
        (integer(1, 12), 12, 12),
        (integer(1, 12), 0, "refused"),
        (integer(1, 12), True, "refused"),
        (integer(1, 12), 1.0, "refused"),
        (integer(1, 12), "1.0", "refused"),
        (integer(1, 12), "", "refused"),
        (integer(1, 12), None, "refused"),
        (integer(1, 12), "9" * 10_000, "refused"),
        (integer(1, 5, many=True), 3, (3,)),
        (integer(1, 5, many=True), [3, 1], (3, 1)),
        (integer(1, 5, many=True), ("3", "1"), (3, 1)),
        (integer(1, 5, many=True), "3,1", (3, 1)),
        (integer(1, 5, many=True), [], "refused"),
        (integer(1, 5, many=True), [1, 1], "refused"),
        (integer(1, 5, many=True), [1, 6], "refused"),
        (integer(1, 5, many=True), "1,,2", "refused"),
        (integer(1, 5, many=True), {}, "refused"),
        (number(0.5, 10), "0.5", 0.5),
        (number(0.5, 10), 10, 10.0),
        (number(0.5, 10), 0.49, "refused"),
        (number(0.5, 10), "nan", "refused"),
        (number(0.5, 10), float("nan"), "refused"),
        (number(0.5, 10), "inf", "refused"),
        (number(0.5, 10), 10**400, "refused"),
        (number(0.5, 10), True, "refused"),
        (number(0.5, 10), [1], "refused"),
        (choice("brown", "Blue"), "BLUE", "Blue"),
        (choice("brown", "Blue"), "red", "refused"),
        (choice("brown", "Blue"), 1, "refused"),
        (SWITCH, "Yes", True),
        (SWITCH, "1", True),
        (SWITCH, True, True),
        (SWITCH, "no", False),
        (SWITCH, "maybe", "refused"),
        (SWITCH, 1, "refused"),
        (ENDPOINT, "tcp://127.0.0.1:5556", "tcp://127.0.0.1:5556"),
        (ENDPOINT, "tcp://*:0", "tcp://*:0"),
        (ENDPOINT, "tcp://[::1]:5556", "tcp://[::1]:5556"),
        (ENDPOINT, "ipc:///run/ctp10/pub", "ipc:///run/ctp10/pub"),
        (ENDPOINT, "tcp://127.0.0.1", "refused"),
        (ENDPOINT, "tcp://127.0.0.1:x", "refused"),
        (ENDPOINT, "tcp://127.0.0.1:65536", "refused"),
        (ENDPOINT, "tcp://127.0.0.1:\N{SUPERSCRIPT TWO}", "refused"),
        (ENDPOINT, "inproc://x", "refused"),
        (ENDPOINT, "ipc://", "refused"),
        (ENDPOINT, "ipc://a\nb", "refused"),
        (ENDPOINT, "", "refused"),
        (ENDPOINT, 5556, "refused"),
    ],
)
def test_a_kind_reads_what_it_allows_and_refuses_the_rest(
    kind: Kind, value: Any, result: Any
) -> None:
    read = parsed(kind, value)
    assert read == result
    assert type(read) is type(result)


toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["cups", "minutes", "kinds", "milk", "pot"]), toml_values))
def test_any_value_in_the_file_is_taken_or_refused_in_words(table: dict[str, Any]) -> None:
    try:
        sample = loaded(table=table).settings
    except SettingsError:
        return
    assert 1 <= sample.cups <= 12
    assert 0.5 <= sample.minutes <= 10
    assert sample.pot in ("brown", "Blue")


# --- the file ------------------------------------------------------------------------------------


@pytest.fixture
def toml(tmp_path: Path) -> Callable[[str], Path]:
    def write(content: str) -> Path:
        path = tmp_path / "ctp10.toml"
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_no_file_is_an_empty_one() -> None:
    assert read_file(None, "none", ("tea",)) == {}


def test_an_unknown_section_is_named_with_the_known_ones(toml: Callable[[str], Path]) -> None:
    path = toml("[tea]\ncups = 3\n[coffee]\n")
    message = refusal(lambda: read_file(path, "option --config", ("tea", "cake")))
    assert message == f"unknown section 'coffee' in {path}; known are tea, cake"


def test_a_key_outside_any_section_is_refused(toml: Callable[[str], Path]) -> None:
    assert "'cups'" in refusal(lambda: read_file(toml("cups = 3\n"), "x", ("tea",)))


def test_a_file_that_is_not_toml_is_refused_with_its_line(toml: Callable[[str], Path]) -> None:
    path = toml("[tea]\ncups 3\n")
    message = refusal(lambda: read_file(path, "environment CTP10_CONFIG", ("tea",)))
    assert str(path) in message
    assert "environment CTP10_CONFIG" in message
    assert "line 2" in message


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.toml"
    assert "No such file" in refusal(lambda: read_file(missing, "option --config", ("tea",)))
    assert "directory" in refusal(lambda: read_file(tmp_path, "option --config", ("tea",)))


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ctp10.toml"
    path.write_bytes(b"[tea]\npot = '\xff'\n")
    assert "UTF-8" in refusal(lambda: read_file(path, "x", ("tea",)))


def test_the_file_of_the_option_beats_that_of_the_environment(tmp_path: Path) -> None:
    environ = {"CTP10_CONFIG": "/env.toml", "XDG_CONFIG_HOME": str(tmp_path)}
    assert config_path("/option.toml", environ) == (Path("/option.toml"), "option --config")
    assert config_path(None, environ) == (Path("/env.toml"), "environment CTP10_CONFIG")


def test_the_file_in_its_default_place_is_read_when_there_is_one(tmp_path: Path) -> None:
    for environ in ({"XDG_CONFIG_HOME": str(tmp_path / ".config")}, {"HOME": str(tmp_path)}):
        place = tmp_path / ".config" / "ctp10" / "ctp10.toml"
        place.unlink(missing_ok=True)
        assert config_path(None, environ)[0] != place
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        assert config_path(None, environ) == (place, "default place")


def test_a_service_reads_its_own_section_of_the_shared_file(
    toml: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SECTIONS", ("tea", "cake"))
    path = toml("[tea]\ncups = 3\n[cake]\nslices = 8\n")
    result = load_service(Sample, "tea", {}, str(path), {})
    assert result.settings.cups == 3
    assert result.origins["cups"] == f"{path} [tea]"


# --- the command line ----------------------------------------------------------------------------


@click.command()
@settings.click_options(Sample)
def tea(**options: Any) -> None:
    click.echo(repr(load(Sample, "tea", options, {}, {}).settings))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], Sample()),
        (["--cups", "5", "--milk"], Sample(cups=5, milk=True)),
        (["--kind", "2", "--kind", "3"], Sample(kinds=(2, 3))),
        (["--kind", "2,3", "--minutes=0.5"], "refused"),
        (["--pot", "BLUE"], Sample(pot="Blue")),
    ],
)
def test_every_field_has_its_option(arguments: list[str], expected: Any) -> None:
    result = CliRunner().invoke(tea, arguments)
    if expected == "refused":
        assert result.exit_code == 2
        assert "--kind" in result.stderr
    else:
        assert result.stdout == f"{expected!r}\n"


def test_the_help_names_each_option_with_default_and_variable() -> None:
    text = " ".join(CliRunner().invoke(tea, ["--help"]).stdout.split())
    assert "--cups CUPS cups to make [default: 2; env TEA_CUPS]" in text
    assert "--kind KINDS kinds [default: 1; env TEA_KINDS]" in text
    assert "--milk pour milk [default: off; env TEA_MILK]" in text
    assert "--pot POT which pot [default: brown]" in text


@pytest.mark.parametrize("arguments", [["--cups", "0"], ["--cups"], ["--teapot", "1"], ["x"]])
def test_wrong_options_end_with_code_two_and_words_on_stderr(arguments: list[str]) -> None:
    result = CliRunner().invoke(tea, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr


@pytest.mark.parametrize("service", ["acquisitiond", "wsbridge"])
@pytest.mark.parametrize(
    ("content", "arguments", "environ", "words"),
    [
        ("", ["--log-level", "LOUD"], {}, ["log_level", "option --log-level", "DEBUG, INFO"]),
        ("", [], {"LOG_LEVEL": "LOUD"}, ["log_level", "environment LOG_LEVEL", "DEBUG, INFO"]),
        ("[{0}]\nlog_level = 7\n", [], {}, ["log_level = 7", "[{0}]", "DEBUG, INFO"]),
        ("[{0}]\nlog_levle = 7\n", [], {}, ["log_levle", "[{0}]", "log_level"]),
        ("[acquisitoind]\n", [], {}, ["acquisitoind", "acquisitiond, wsbridge"]),
        ("[", [], {}, ["not TOML", "environment CTP10_CONFIG"]),
        ("", ["--config", "/nowhere/x.toml"], {}, ["/nowhere/x.toml", "No such file"]),
        ("", ["--control", "5557"], {}, ["control = '5557'", "tcp://127.0.0.1:5556"]),
    ],
)
def test_a_daemon_refuses_wrong_settings_before_it_does_anything(
    toml: Callable[[str], Path],
    service: str,
    content: str,
    arguments: list[str],
    environ: dict[str, str],
    words: list[str],
) -> None:
    path = toml(content.format(service))
    main: click.Command = importlib.import_module(f"{service}.__main__").main
    variables: dict[str, str | None] = dict.fromkeys(
        ["LOG_LEVEL", "MOCK_MODE", "CTP10_ADDRESS", "CTP10_IP", "CTP10_PORT", "API_PORT"]
    )
    runner = CliRunner(env=variables | {"CTP10_CONFIG": str(path)} | environ)
    result = runner.invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.stderr
    for word in words:
        assert word.format(service) in result.stderr
