"""An S3 server's misbehaving front: `python -m tests.support.s3.proxy LISTEN_PORT SERVER_PORT`.

Passes requests on, and does to some of them what `POST /-/faults` asked for. `GET /-/writes` tells
of each answer's key how many different contents were stored there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from tests.support.s3.faults import S3Faults

HOST = "127.0.0.1"
#: bytes of a head; botocore's have under 2 KB
LIMIT = 64 * 1024
#: what S3 says with each
CODES = {
    "error_500": "InternalError",
    "error_503": "SlowDown",
    "error_403": "AccessDenied",
    "error_404": "NoSuchBucket",
}
#: pieces of a slow body
PIECES = 10


@dataclass
class Head:
    """The first line and the headers of a request or an answer."""

    first: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """A header's value."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def without(self, *names: str) -> Head:
        """A copy without some headers."""
        return Head(self.first, [each for each in self.headers if each[0].lower() not in names])

    def to_bytes(self) -> bytes:
        """As it is sent."""
        lines = [self.first, *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass
class Proxy:
    """The faults in force, and what was seen."""

    server_port: int
    faults: S3Faults = field(default_factory=S3Faults)
    #: requests that met a fault since the faults were set
    chosen: int = 0
    met: Counter[str] = field(default_factory=Counter)
    #: of each answer's key, the hashes of what was stored there
    writes: dict[str, set[str]] = field(default_factory=dict)
    #: keys that are not found until then, on `time.monotonic()`
    late: dict[str, float] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, for as many requests as it sends."""
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while head := await _head(reader):
                if head.get("expect"):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                method, path, _ = head.first.split(" ", 2)
                if path.startswith("/-/"):
                    await self._control(method, path, await _body(reader, head), writer)
                    continue
                upstream = upstream or await asyncio.open_connection(
                    HOST, self.server_port, limit=LIMIT
                )
                if not await self._one(head, reader, writer, upstream):
                    return
        except (OSError, asyncio.IncompleteReadError, ValueError):
            # a client or a server that went away: so does the other
            return
        finally:
            for each in (writer, upstream[1] if upstream else None):
                if each is not None:
                    with suppress(OSError, RuntimeError):
                        each.close()

    async def _one(
        self,
        head: Head,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        """Answer one request; whether the connection can be used again."""
        method, path, _ = head.first.split(" ", 2)
        # a client that knows of a proxy sends the whole address
        key = unquote(urlsplit(path).path)
        body = await _body(reader, head)
        faults = self.faults
        fault = faults.chosen(random.random()) if faults.among in key else None
        if fault is not None and faults.first:
            self.chosen += 1
            fault = fault if self.chosen <= faults.first else None
        if method in ("GET", "HEAD") and self.late.get(key, 0) > time.monotonic():
            self.met["late"] += 1
            writer.write(_error(404, "NoSuchKey", method))
            return True
        if fault in CODES:
            self.met[fault] += 1
            writer.write(_error(int(fault[-3:]), CODES[fault], method))
            return True
        if fault == "hang":
            self.met[fault] += 1
            await asyncio.sleep(faults.hang_s)
            return False
        to_server = upstream[1]
        if fault == "reset" and method == "PUT" and body:
            self.met["reset_upload"] += 1
            to_server.write(head.without("expect").to_bytes() + body[: len(body) // 2])
            await to_server.drain()
            _reset(to_server)
            _reset(writer)
            return False
        to_server.write(head.without("expect").to_bytes() + body)
        answer = await _head(upstream[0])
        if answer is None:
            return False
        bodiless = method == "HEAD" or answer.first.split(" ")[1] in ("204", "304")
        content = b"" if bodiless else await _body(upstream[0], answer, until_closed=True)
        ok = answer.first.split(" ")[1].startswith("2")
        if method == "PUT" and "/answers/" in key and answer.first.split(" ")[1] == "412":
            self.met["second"] += 1
        if method == "PUT" and ok:
            if "/answers/" in key:
                self.writes.setdefault(key, set()).add(hashlib.sha256(body).hexdigest())
            if random.random() < faults.late:
                self.late[key] = time.monotonic() + faults.late_s
        if fault == "error_after":
            self.met[fault] += 1
            writer.write(_error(500, "InternalError", method))
            return True
        return await self._send(fault if ok and content else None, answer, content, writer)

    async def _send(
        self, fault: str | None, answer: Head, content: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        if answer.get("transfer-encoding"):
            answer = answer.without("transfer-encoding", "content-length")
            answer.headers.append(("Content-Length", str(len(content))))
        if fault in ("long", "short"):
            self.met[fault] += 1
            length = len(content) + 100 if fault == "long" else max(1, len(content) // 2)
            answer = answer.without("content-length")
            answer.headers.append(("Content-Length", str(length)))
            writer.write(answer.to_bytes() + content[:length])
            await writer.drain()
            return False
        if fault == "reset":
            self.met["reset_answer"] += 1
            writer.write(answer.to_bytes() + content[: len(content) // 2])
            await writer.drain()
            _reset(writer)
            return False
        writer.write(answer.to_bytes())
        if fault == "slow":
            self.met["slow"] += 1
            step = max(1, len(content) // PIECES)
            for start in range(0, len(content), step):
                writer.write(content[start : start + step])
                await writer.drain()
                await asyncio.sleep(self.faults.slow_s / PIECES)
        else:
            writer.write(content)
        await writer.drain()
        return (answer.get("connection") or "").lower() != "close"

    async def _control(
        self, method: str, path: str, body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if path == "/-/faults" and method == "POST":
            self.faults = S3Faults(**json.loads(body))
            self.late.clear()
            self.chosen = 0
            told: object = {}
        elif path == "/-/writes":
            told = {key: len(contents) for key, contents in self.writes.items()}
        else:
            told = dict(self.met)
        text = json.dumps(told).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        await writer.drain()


async def _head(reader: asyncio.StreamReader) -> Head | None:
    try:
        text = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = text.decode("latin-1").rstrip("\r\n").split("\r\n")
    return Head(first, [(line.split(":", 1)[0], line.split(":", 1)[1].strip()) for line in lines])


async def _body(reader: asyncio.StreamReader, head: Head, until_closed: bool = False) -> bytes:
    if "chunked" in (head.get("transfer-encoding") or ""):
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(parts)
    length = head.get("content-length")
    if length is None:
        return await reader.read() if until_closed else b""
    return await reader.readexactly(int(length))


def _error(status: int, code: str, method: str) -> bytes:
    text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>a fault</Message></Error>'
    head = Head(
        f"HTTP/1.1 {status} Fault",
        [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))],
    )
    return head.to_bytes() + (b"" if method == "HEAD" else text.encode())


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, not with an end."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _run(port: int, server_port: int) -> None:
    proxy = Proxy(server_port)
    server = await asyncio.start_server(proxy.serve, HOST, port, limit=LIMIT)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), int(sys.argv[2])))
