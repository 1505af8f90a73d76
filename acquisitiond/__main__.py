"""The command `acquisitiond`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import sys
from typing import Any

import click
import zmq

from acquisitiond.daemon import run
from acquisitiond.settings import Settings, with_ip_and_port
from acquisitiond.simulator.process import simulator_process
from common.lifecycle import run_service
from common.log import setup_logging
from common.settings import SettingsError, click_options, load_service

log = logging.getLogger("acquisitiond")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="TOML file of settings  [env CTP10_CONFIG]")
@click_options(Settings)
@click.version_option(package_name="ctp10")
def main(config: str | None, **options: Any) -> None:
    """Own the instrument: read it, publish its readings on ZeroMQ, answer requests."""
    loaded = load_service(Settings, "acquisitiond", options, config, with_ip_and_port(os.environ))
    settings = loaded.settings
    if settings.simulate and loaded.origins["address"].startswith("option"):
        raise SettingsError("--simulate starts an instrument of its own: leave out --address")
    setup_logging(settings.log_level, settings.log_format)
    try:
        with contextlib.ExitStack() as stack:
            if settings.simulate:
                # The daemon gets an address like any other, and connects to it by TCP.
                address = stack.enter_context(simulator_process(settings.modules))
                settings = dataclasses.replace(settings, address=address)
                log.info("simulated instrument at %s", address)

            async def body(stop: asyncio.Event) -> None:
                await run(settings, stop)

            run_service(body)
    except (zmq.ZMQError, OSError) as error:
        reason = error.strerror or str(error)
        where = (
            f"{settings.publish} or {settings.control}" if isinstance(error, zmq.ZMQError) else ""
        )
        click.echo(f"acquisitiond: cannot start: {where} {reason}".replace("  ", " "), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="acquisitiond")
