"""Scripted instruments: real TCP servers in threads that answer, misbehave or fall silent on cue.

A script is a function of one connection. `ScriptedInstrument(first, second)` runs `first` on the
first connection and `second` on all later ones. Nothing here outlives its `with` block: threads
are joined, sockets closed, and an exception in a script fails the test.
"""

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

DEADLINE = 20.0  # generous: only a test that already failed waits this long


class Conversation:
    """One connection as a script sees it."""

    def __init__(self, sock: socket.socket, received: list[bytes]) -> None:
        self._sock = sock
        self._received = received
        self._buffer = b""
        #: Set when the `with` block of the instrument ends: scripts that wait must then return.
        self.stop = threading.Event()

    def read_message(self) -> bytes | None:
        """The next program message without its line end; None when the peer left."""
        while b"\n" not in self._buffer:
            try:
                data = self._sock.recv(65536)
            except OSError:
                return None
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = line.removesuffix(b"\r")
        self._received.append(message)
        return message

    def send(self, data: bytes) -> bool:
        """Send all of it; False when the peer left."""
        try:
            self._sock.sendall(data)
        except OSError:
            return False
        return True

    def pause(self, seconds: float) -> bool:
        """Let time pass between two sends; False when the instrument is being stopped."""
        return not self.stop.wait(seconds)

    def wait(self, event: threading.Event) -> None:
        assert event.wait(DEADLINE), "the test never gave its cue"

    def until_peer_leaves(self) -> None:
        while self.read_message() is not None:
            pass

    def finish(self) -> None:
        """End of file (FIN)."""
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Abort the connection (RST)."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def shut_down(self) -> None:
        self.stop.set()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()


Script = Callable[[Conversation], None]


class ScriptedInstrument:
    """Listens on a free port of 127.0.0.1 and plays its scripts, one per connection."""

    def __init__(self, *scripts: Script, receive_buffer: int | None = None) -> None:
        self._scripts = scripts
        self._lock = threading.Lock()
        self._conversations: list[Conversation] = []
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self._stopping = False
        #: Every program message of every connection, in order of arrival.
        self.received: list[bytes] = []
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:  # inherited by accepted sockets only if set before listen
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self.address = f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._stopping = True
            for conversation in self._conversations:
                conversation.shut_down()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        # Grows no more once the first thread, the one that accepts, has ended.
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive(), "a scripted instrument did not stop"
        self._listener.close()
        if self._errors and exc is None:
            raise self._errors[0]

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="scripted instrument", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conversation = Conversation(sock, self.received)
            with self._lock:
                number = len(self._conversations)
                self._conversations.append(conversation)
                if self._stopping:
                    conversation.shut_down()
            script = self._scripts[min(number, len(self._scripts) - 1)]
            self._start(self._play, script, conversation)

    def _play(self, script: Script, conversation: Conversation) -> None:
        try:
            script(conversation)
        except BaseException as error:  # noqa: BLE001  # the test's thread raises it again
            self._errors.append(error)
        finally:
            conversation.close()


# --- scripts -----------------------------------------------------------------------------------


def answering(answer: Callable[[bytes], bytes | None]) -> Script:
    """Give each message the bytes that `answer` returns for it; None or empty is no answer."""

    def script(conversation: Conversation) -> None:
        while (message := conversation.read_message()) is not None:
            reply = answer(message)
            if reply and not conversation.send(reply):
                return

    return script


def echo(conversation: Conversation) -> None:
    """Answer each message with itself."""
    answering(lambda message: message + b"\r\n")(conversation)


def segments(*parts: bytes, gap: float = 0.0) -> Script:
    """Answer the first message part by part, `gap` seconds apart, then go on as `echo`."""

    def script(conversation: Conversation) -> None:
        if conversation.read_message() is None:
            return
        for part in parts:
            if not conversation.send(part) or not conversation.pause(gap):
                return
        echo(conversation)

    return script


def half_line(conversation: Conversation) -> None:
    segments(b"-17.")(conversation)


def two_lines(conversation: Conversation) -> None:
    segments(b"-17.85\r\n-21.56\r\n")(conversation)


def silent(conversation: Conversation) -> None:
    """Read everything, answer nothing."""
    conversation.until_peer_leaves()


def drip(conversation: Conversation) -> None:
    """Answer with a byte every 30 ms, for ever and without an end of line."""
    conversation.read_message()
    while conversation.send(b"1") and conversation.pause(0.03):
        pass


def flood(conversation: Conversation) -> None:
    """Answer without pause, for ever and without an end of line."""
    conversation.read_message()
    while conversation.send(b"1" * 65536):
        pass


def stops_reading(conversation: Conversation) -> None:
    """Accept the connection and never read from it."""
    conversation.stop.wait(DEADLINE)


def resets(after: bytes = b"") -> Script:
    """Answer the first message with `after`, then RST."""

    def script(conversation: Conversation) -> None:
        conversation.read_message()
        conversation.send(after)
        conversation.reset()

    return script


def finishes(after: bytes = b"") -> Script:
    """Answer the first message with `after`, then FIN, and keep reading."""

    def script(conversation: Conversation) -> None:
        conversation.read_message()
        conversation.send(after)
        conversation.finish()
        conversation.until_peer_leaves()

    return script


def late(answer: bytes, cue: threading.Event) -> Script:
    """Give the answer to the first message only on `cue`, however late that is."""

    def script(conversation: Conversation) -> None:
        conversation.read_message()
        conversation.wait(cue)
        conversation.send(answer)
        echo(conversation)

    return script


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """`data` cut at each of the positions."""
    edges = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a != b]


def block(payload: bytes) -> bytes:
    """An IEEE 488.2 definite-length block."""
    length = str(len(payload)).encode()
    return b"#%d" % len(length) + length + payload
