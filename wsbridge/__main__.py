"""The command `wsbridge`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from common.lifecycle import run_service
from common.log import setup_logging
from common.settings import click_options, load_service
from wsbridge.bridge import run
from wsbridge.settings import Settings


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="TOML file of settings  [env CTP10_CONFIG]")
@click_options(Settings)
@click.version_option(package_name="ctp10")
def main(config: str | None, **options: Any) -> None:
    """Serve acquisitiond's readings to WebSocket clients."""
    settings = load_service(Settings, "wsbridge", options, config).settings
    setup_logging(settings.log_level, settings.log_format)

    async def body(stop: asyncio.Event) -> None:
        await run(settings, stop)

    try:
        run_service(body)
    except OSError as error:
        reason = error.strerror or str(error)
        click.echo(
            f"wsbridge: cannot serve on {settings.host} port {settings.port}: {reason}", err=True
        )
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="wsbridge")
