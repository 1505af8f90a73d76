"""Typed settings from options, environment, file and defaults, in this order of precedence.

Owns the merging, the checking and the wording of errors; knows no setting by name. A settings
class is a frozen dataclass whose fields are made with `setting`.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

S = TypeVar("S")
_META = "ctp10.setting"


class SettingsError(click.ClickException):
    """A wrong setting: names the key, where it came from and what is allowed. Exit code 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """How text becomes a value: `parse` raises ValueError; `allowed` completes "expected …"."""

    parse: Callable[[Any], Any]
    allowed: str
    many: bool = False
    flag: bool = False


@dataclass(frozen=True, slots=True)
class _Meta:
    kind: Kind
    help: str
    env: str | None
    metavar: str | None


def setting(
    default: Any, kind: Kind, help: str, *, env: str | None = None, metavar: str | None = None
) -> Any:
    """Declare one field of a settings class: its default, kind, help and environment variable."""
    return dataclasses.field(default=default, metadata={_META: _Meta(kind, help, env, metavar)})


def text(value: Any) -> str:
    """Any text without control characters."""
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise ValueError
    return value


def _plain(value: Any) -> Any:
    """Refuse what Python takes for a number and nobody else does: 1_0, digits of other scripts."""
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        raise ValueError
    return value


def integer(low: int, high: int, *, many: bool = False) -> Kind:
    """A whole number in [low, high]; with `many`, a list of different ones."""

    def one(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError  # noqa: TRY004  load() words one kind of error
        number = int(_plain(value))
        if not low <= number <= high:
            raise ValueError
        return number

    if not many:
        return Kind(one, f"a whole number from {low} to {high}")

    def several(value: Any) -> tuple[int, ...]:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            items = [items]
        numbers = tuple(one(item) for item in items)
        if not numbers or len(set(numbers)) != len(numbers):
            raise ValueError
        return numbers

    return Kind(several, f"different whole numbers from {low} to {high}", many=True)


def number(low: float, high: float) -> Kind:
    """A finite number in [low, high]."""

    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError  # noqa: TRY004  load() words one kind of error
        result = float(_plain(value))
        if not low <= result <= high:  # also refuses NaN
            raise ValueError
        return result

    return Kind(parse, f"a number from {low:g} to {high:g}")


def choice(*words: str) -> Kind:
    """One of the words, in any case."""

    def parse(value: Any) -> str:
        for word in words:
            if isinstance(value, str) and value.lower() == word.lower():
                return word
        raise ValueError

    return Kind(parse, "one of " + ", ".join(words))


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    truth = {"true": True, "1": True, "yes": True, "on": True}
    truth |= {"false": False, "0": False, "no": False, "off": False}
    if not isinstance(value, str) or value.lower() not in truth:
        raise ValueError
    return truth[value.lower()]


SWITCH = Kind(_switch, "true or false", flag=True)
LOG_LEVEL = choice("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMAT = choice("text", "json")


def zmq_endpoint(value: Any) -> str:
    """A ZeroMQ endpoint of a kind that both ends can use."""
    name = text(value)
    scheme, separator, rest = name.partition("://")
    if not separator or scheme not in {"tcp", "ipc"} or not rest:
        raise ValueError
    if scheme == "tcp":
        _, _, port = rest.rpartition(":")
        if not port.isdigit() or not 0 <= int(port) <= 65535:
            raise ValueError
    return name


ENDPOINT = Kind(zmq_endpoint, "an endpoint such as tcp://127.0.0.1:5556 or ipc:///run/ctp10/pub")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """The settings, and for each key where its value came from."""

    settings: S
    origins: Mapping[str, str]


def load(
    cls: type[S],
    section: str,
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Mapping[str, Any],
    file_name: str = "",
) -> Loaded[S]:
    """Merge and check; pure. `options` holds None (or nothing) for what was not given.

    Raises:
        SettingsError: an unknown key in the file's section, or a value that is not allowed.
    """
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    table = file.get(section, {})
    if not isinstance(table, Mapping):
        raise SettingsError(f"{section} in {file_name} must be a table ([{section}])")
    for key in table:
        if key not in known:
            raise SettingsError(
                f"unknown key {key!r} in [{section}] of {file_name}; known are {', '.join(known)}"
            )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, field in known.items():
        meta: _Meta = field.metadata[_META]
        given = options.get(name)
        if given is not None and given != ():
            raw, origin = given, f"option --{option_name(name, meta.kind)}"
        elif meta.env is not None and environ.get(meta.env):
            raw, origin = environ[meta.env], f"environment {meta.env}"
        elif name in table:
            raw, origin = table[name], f"{file_name} [{section}]"
        else:
            values[name], origins[name] = field.default, "default"
            continue
        try:
            values[name] = meta.kind.parse(raw)
        except (ValueError, OverflowError):
            raise SettingsError(
                f"{name} = {raw!r} (from {origin}) is not allowed: expected {meta.kind.allowed}"
            ) from None
        origins[name] = origin
    return Loaded(cls(**values), origins)


def option_name(field: str, kind: Kind) -> str:
    """Option of a field: ``timeout_ms`` → ``timeout-ms``, and the singular for lists."""
    name = field.replace("_", "-")
    return name.removesuffix("s") if kind.many else name


def click_options(cls: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command with an option for each field of a settings class."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for field in reversed(dataclasses.fields(cls)):
            meta: _Meta = field.metadata[_META]
            name = f"--{option_name(field.name, meta.kind)}"
            shown = _show(field.default)
            hint = f"{meta.help}  [default: {shown}{f'; env {meta.env}' if meta.env else ''}]"
            if meta.kind.flag:
                option = click.option(name, field.name, is_flag=True, default=None, help=hint)
            else:
                option = click.option(
                    name,
                    field.name,
                    multiple=meta.kind.many,
                    metavar=meta.metavar or field.name.rpartition("_")[2].upper(),
                    help=hint,
                )
            function = option(function)
        return function

    return decorate


def _show(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def config_path(option: str | None, environ: Mapping[str, str]) -> tuple[Path | None, str]:
    """The settings file to read, and why this one; None when there is none to read."""
    if option:
        return Path(option), "option --config"
    if environ.get("CTP10_CONFIG"):
        return Path(environ["CTP10_CONFIG"]), "environment CTP10_CONFIG"
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "/")) / ".config")
    for path in (Path(home) / "ctp10" / "ctp10.toml", Path("/etc/ctp10/ctp10.toml")):
        if path.is_file():
            return path, "default place"
    return None, "none"


def read_file(path: Path | None, why: str, sections: tuple[str, ...]) -> Mapping[str, Any]:
    """Read a TOML settings file.

    Raises:
        SettingsError: it cannot be read, is not TOML, or has a section that nobody owns.
    """
    if path is None:
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"cannot read settings file {path} ({why}): {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"settings file {path} ({why}) is not TOML: {error}") from None
    for section in document:
        if section not in sections:
            raise SettingsError(
                f"unknown section {section!r} in {path}; known are {', '.join(sections)}"
            )
    return document


SECTIONS = ("acquisitiond", "wsbridge")
"""The sections of the one settings file that both daemons share."""


def load_service(
    cls: type[S],
    section: str,
    options: Mapping[str, Any],
    config: str | None,
    environ: Mapping[str, str] = os.environ,
) -> Loaded[S]:
    """`load` with an environment and the settings file that it and `config` lead to."""
    path, why = config_path(config, environ)
    file = read_file(path, why, SECTIONS)
    return load(cls, section, options, environ, file, str(path or ""))
