"""The command `ctp10`: one subcommand a file."""

from __future__ import annotations

import click

from acquisitiond.simulator.__main__ import main as simulate
from ctp10.cli.record import record
from ctp10.cli.up import up


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ctp10")
def main() -> None:
    """Watch and run an EXFO CTP10 together with others."""


main.add_command(simulate, "simulate")
main.add_command(up)
main.add_command(record)
