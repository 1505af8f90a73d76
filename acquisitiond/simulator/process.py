"""Owns a simulator in a process of its own, as far from the daemon as an instrument is."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from common.lifecycle import die_with_parent

_STOP_TIMEOUT = 2.0


@contextlib.contextmanager
def simulator_process(modules: tuple[int, ...]) -> Iterator[str]:
    """VISA address of a simulator with these modules, which runs while the context is open.

    Raises:
        OSError: it did not start; its own words are on stderr.
    """
    command = [sys.executable, "-P", "-m", "acquisitiond.simulator", "--port", "0"]
    for module in modules:
        command += ["--module", str(module)]
    # A session of its own: a Ctrl-C is for the daemon, which then ends the simulator.
    process = subprocess.Popen(  # noqa: S603  our own module
        command,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509  no thread yet at this point
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            host, separator, port = process.stdout.readline().rpartition(" ")[2].rpartition(":")
            if not separator:
                raise OSError("the simulator did not start")
            yield f"TCPIP::{host}::{int(port)}::SOCKET"
        finally:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
