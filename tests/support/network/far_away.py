"""A way that takes its time: `python -m tests.support.network.far_away SECONDS PORT HOST:PORT…`.

Listens on ports from PORT on, one for each server, and hands on what comes after so many seconds,
in both directions. In place of `tc netem`, which not every kernel has.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from functools import partial


async def _hand_on(
    delay_s: float, source: asyncio.StreamReader, sink: asyncio.StreamWriter
) -> None:
    loop = asyncio.get_running_loop()
    on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, data = await on_its_way.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                sink.close()
                return
            sink.write(data)

    arriving = asyncio.create_task(arrive())
    data = b"?"
    while data:
        try:
            data = await source.read(65536)
        except OSError:
            data = b""
        on_its_way.put_nowait((loop.time() + delay_s, data))
    with suppress(OSError):
        await arriving


async def _serve(delay_s: float, port: int, servers: list[str]) -> None:
    async def connected(
        server: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, number = server.rpartition(":")
        try:
            to = await asyncio.open_connection(host, int(number))
        except OSError:
            writer.close()
            return
        await asyncio.gather(_hand_on(delay_s, reader, to[1]), _hand_on(delay_s, to[0], writer))

    for number, server in enumerate(servers):
        await asyncio.start_server(
            partial(connected, server),
            "0.0.0.0",
            port + number,
        )
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
