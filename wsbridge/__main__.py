"""The command `wsbridge`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import click

from common.lifecycle import run_service
from common.log import setup_logging
from common.settings import click_options, load_service
from wsbridge.bridge import run
from wsbridge.settings import Settings
from wsbridge.supervisor import WORKER, WorkerError, supervise


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="TOML file of settings  [env CTP10_CONFIG]")
@click_options(Settings)
@click.version_option(package_name="ctp10")
def main(config: str | None, **options: Any) -> None:
    """Serve acquisitiond's readings to WebSocket clients."""
    settings = load_service(Settings, "wsbridge", options, config).settings
    setup_logging(settings.log_level, settings.log_format)

    async def body(stop: asyncio.Event) -> None:
        if settings.workers == 1 or WORKER in os.environ:
            await run(settings, stop)
        else:
            await supervise(settings, sys.argv[1:], stop)

    try:
        run_service(body)
    except* WorkerError as group:
        click.echo(f"wsbridge: {group.exceptions[0]}", err=True)
        sys.exit(1)
    except* OSError as group:
        error = group.exceptions[0]
        assert isinstance(error, OSError)
        reason = error.strerror or str(error)
        click.echo(
            f"wsbridge: cannot serve on {settings.host} port {settings.port}: {reason}", err=True
        )
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="wsbridge")
