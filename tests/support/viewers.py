"""WebSocket viewers for integration tests: what arrives is kept, and can be waited for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.processes import DEADLINE

Message = dict[str, Any]


class Viewer:
    """One client. Each message is kept with its arrival under the key ``_arrived``."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.messages: list[Message] = []
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in self.websocket:
                async with self._changed:
                    self.messages.append({**orjson.loads(text), "_arrived": time.time()})
                    self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    @property
    def open(self) -> bool:
        """Still connected."""
        return not self._task.done() and self.websocket.close_code is None

    def of(self, kind: str) -> list[Message]:
        """Messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    async def wait(
        self, found: Callable[[Message], bool], *, after: int = 0, timeout: float = DEADLINE
    ) -> Message:
        """The first message from index `after` on of which `found` is true."""

        def look() -> Message | None:
            return next((m for m in self.messages[after:] if found(m)), None)

        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: look() is not None or self._task.done())
        message = look()
        assert message is not None, f"closed {self.websocket.close_code}: {self.messages[-3:]}"
        return message

    async def wait_type(self, kind: str, *, after: int = 0, timeout: float = DEADLINE) -> Message:
        """The first message of a type from index `after` on."""
        return await self.wait(lambda m: m["type"] == kind, after=after, timeout=timeout)

    async def wait_count(self, kind: str, count: int, timeout: float = DEADLINE) -> list[Message]:
        """The first `count` messages of a type."""
        await self.wait(lambda _: len(self.of(kind)) >= count, timeout=timeout)
        return self.of(kind)[:count]

    async def closed(self, timeout: float = DEADLINE) -> int | None:
        """Close code, once it is closed."""
        async with asyncio.timeout(timeout):
            await self._task
        return self.websocket.close_code

    async def close(self) -> None:
        """Leave."""
        await self.websocket.close()
        await self._task


@contextlib.asynccontextmanager
async def viewer(url: str) -> AsyncIterator[Viewer]:
    """Connect, and leave at the end."""
    async with connect(url, compression=None, proxy=None) as websocket:
        client = Viewer(websocket)
        try:
            yield client
        finally:
            await client.close()
