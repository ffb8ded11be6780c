"""The loop around one instance on asyncio, with WebSockets by `websockets`: frames in, timers, outputs, frames out."""

import asyncio
import dataclasses
import json
import os
import pathlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.typing import Subprotocol

from . import lama_ffi as ffi
from .commands import Commands
from .dial import DialFailure, allowed, connect
from .errors import LamaError, told
from .events import Event
from .records import Content, Identity, Made, Tree

__all__ = ["Host", "LamaError", "accept_instance", "allowed", "open_instance", "request_instance"]

MAX_MESSAGE = 65_535
"""The longest message of the protocol, in bytes."""
MAX_LINKS = 1024
"""Above it nobody is let in."""
DIAL_SECONDS = 10
PIECE = 1 << 20
"""How much of a file is read at once, in bytes."""


def _clocks() -> tuple[int, int]:
    return time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000


class _Link:
    def __init__(self, socket: Connection):
        self.socket = socket
        self.ready = asyncio.Event()
        """It may have frames to send."""
        self.cause: str | None = None
        """Why we close it."""
        self.goodbye = False


class Host(Commands):
    """An instance that runs in the event loop it was made in, until `shutdown`."""

    def __init__(self, keys: ffi.Keys, store: str | None):
        self.identity = Identity.read(json.loads(told(keys.identity)))
        self._instance = told(ffi.Instance.open, keys, store, *_clocks())
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[dict[str, str] | None] = self._loop.create_future()
        """Done when it is over and the store is closed; `None`: it was shut down."""
        self._links: dict[int, _Link] = {}
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listeners: list[Callable[[Event], object]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[Server] = []
        self._numbers = self._tickets = 0
        self._queued = False
        self._timer: asyncio.TimerHandle | None = None
        self._turned = asyncio.Event()
        self._wake()

    # What a program asks.

    async def call(self, type: str, **fields: Any) -> dict[str, Any]:
        if self.ended.done():
            raise LamaError("node.stopped", "the instance has ended; open it again")
        self._tickets += 1
        ticket, answer = self._tickets, self._loop.create_future()
        # What is left out has its default there.
        command = {"type": type, **{name: value for name, value in fields.items() if value is not None}}
        told(self._instance.command, ticket, json.dumps(command), *_clocks())
        self._waiting[ticket] = answer
        self._wake()
        reply: dict[str, Any] = await answer
        return reply

    async def store(self, data: bytes) -> Content:
        """Stores the content of a file, piece by piece."""
        number = told(self._instance.begin_blob)
        for start in range(0, len(data), PIECE):
            told(self._instance.push_blob, number, data[start:start + PIECE])
            self._wake()
            await asyncio.sleep(0)
        return Content.read(json.loads(told(self._instance.finish_blob, number)))

    async def share_file(self, name: str, data: bytes, people: list[str]) -> Made:
        """Stores a file and shares it, with a message that points to it."""
        content = await self.store(data)
        made = Made.read(json.loads(told(self._instance.make_file, name, content.blob, content.size, False)))
        await self.share(made.root, people, note=f"shared {name}")
        return made

    async def share_folder(self, name: str, files: dict[str, bytes], people: list[str]) -> Made:
        """Stores files, by their paths with `/` between parts, and shares them as a folder."""
        entries = [{"path": path, **dataclasses.asdict(await self.store(data))} for path, data in files.items()]
        made = Made.read(json.loads(told(self._instance.make_folder, name, json.dumps(entries))))
        count = "1 file" if len(entries) == 1 else f"{len(entries)} files"
        await self.share(made.root, people, note=f"shared folder {name} with {count}")
        return made

    def tree(self, root: str) -> Tree:
        """What is in a shared file or folder; `blob-missing` while a part is not here."""
        return Tree.read(json.loads(told(self._instance.tree, root)))

    def read(self, blob: str, start: int, length: int) -> bytes:
        """Bytes of a file's content, verified; at most 16 MiB, and fewer only at its end."""
        return bytes(told(self._instance.read, blob, start, length))

    async def pieces(self, root: str) -> AsyncIterator[tuple[str, bytes]]:
        """The contents of a shared file or folder, verified: paths below it and bytes, piece by piece."""
        for file in self.tree(root).files:
            for start in range(0, file.size, PIECE):
                yield file.path, self.read(file.blob, start, PIECE)
                self._wake()

    def on(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Hears every event; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def listen(self, port: int = 0) -> str:
        """Listens on this machine's own address (port 0: a free one) and tells the contacts; its URL."""
        # A page of any site may try to connect to this machine; only what has no origin is no browser.
        server = await serve(lambda socket: self._serve(socket), "127.0.0.1", port, subprotocols=[Subprotocol("lama.1")],
                             origins=[None], compression=None, max_size=MAX_MESSAGE, ping_interval=None)
        self._servers.append(server)
        url = f"ws://localhost:{server.sockets[0].getsockname()[1]}"
        told(self._instance.listening, [url], *_clocks())
        self._wake()
        return url

    async def shutdown(self) -> None:
        """Ends all sessions and closes the store."""
        await self.call("shutdown")
        await self.ended
        for server in self._servers:
            server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
        for task in self._tasks:
            task.cancel()

    # The loop.

    def _wake(self) -> None:
        if not self._queued and not self.ended.done():
            self._queued = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._queued = False
        if self.ended.done():
            return
        try:
            self._drive()
        except Exception as error:  # whatever it is, nobody may wait for an answer that never comes
            self._finish({"code": "binding.crashed", "message": f"the instance stopped working ({error}); open it again"})

    def _drive(self) -> None:
        due = self._instance.poll_timeout()
        if due is not None and due <= _clocks()[0]:
            self._instance.handle_timeout(*_clocks())
        while (output := self._instance.poll(*_clocks())) is not None:
            self._heed(json.loads(output))
        while (number := self._instance.next_ready_link()) is not None:
            if number in self._links:
                self._links[number].ready.set()
        self._turned.set()
        self._turned = asyncio.Event()
        if self._timer is not None:
            self._timer.cancel()
        due = self._instance.poll_timeout()
        if due is not None:
            self._timer = self._loop.call_later(max(0, due - _clocks()[0]) / 1000, self._wake)

    def _heed(self, output: dict[str, Any]) -> None:
        match output["type"]:
            case "dial":
                self._start(self._dial(output))
            case "close":
                if (link := self._links.get(output["link"])) is not None:
                    link.goodbye = True
                    link.ready.set()
            case "reply" | "failed":
                answer = self._waiting.pop(output["ticket"], None)
                if answer is not None and not answer.done():
                    if output["type"] == "reply":
                        answer.set_result(output["reply"])
                    else:
                        answer.set_exception(LamaError(**output["problem"]))
            case "event":
                for listener in list(self._listeners):
                    self._loop.call_soon(listener, output["event"])
            case "ended":
                self._finish(output["problem"])

    def _finish(self, problem: dict[str, str] | None) -> None:
        self.ended.set_result(problem)
        why = problem or {"code": "node.stopped", "message": "the instance has ended; open it again"}
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(LamaError(**why))
        for link in self._links.values():  # those that wait at a relay, above all
            link.goodbye = True
            link.ready.set()

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self, dial: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                socket = await connect(dial, MAX_MESSAGE)
        except (DialFailure, TimeoutError) as failure:
            cause = failure.cause if isinstance(failure, DialFailure) else "timeout"
            self._instance.dial_failed(dial["dial"], cause, *_clocks())
            self._wake()
            return
        await self._run(socket, lambda number: self._instance.link_dialled(number, dial["dial"], None, *_clocks()))

    async def _serve(self, socket: ServerConnection) -> None:
        if len(self._links) >= MAX_LINKS:
            return
        address = socket.remote_address[0]
        await self._run(socket, lambda number: self._instance.link_accepted(number, address, *_clocks()))

    async def _run(self, socket: Connection, up: Callable[[int], None]) -> None:
        """One link, from its opening to its end."""
        self._numbers += 1
        number, link = self._numbers, _Link(socket)
        self._links[number] = link
        up(number)
        self._wake()
        sending = self._loop.create_task(self._send(number, link))
        try:
            cause = await self._receive(number, link)
        except ConnectionClosed as closed:
            cause = "closed" if isinstance(closed, ConnectionClosedOK) else "lost"
        sending.cancel()
        del self._links[number]
        self._instance.link_down(number, link.cause or cause, *_clocks())
        self._wake()
        await socket.close()

    async def _receive(self, number: int, link: _Link) -> str:
        while True:
            # What is not taken waits in the socket's queue, and then at the sender.
            frame = await link.socket.recv()
            while not link.goodbye and not self._instance.wants_input(number) and not self.ended.done():
                await self._turned.wait()
            if link.goodbye or self.ended.done():
                continue
            if isinstance(frame, str) or len(frame) > self._instance.frame_limit(number):
                return "violation"
            self._instance.frame(number, frame, *_clocks())
            self._wake()

    async def _send(self, number: int, link: _Link) -> None:
        try:
            while True:
                await link.ready.wait()
                link.ready.clear()
                while (frame := self._instance.poll_frame(number)) is not None:
                    self._wake()
                    await link.socket.send(frame)  # waits while the socket is full
                if link.goodbye:
                    link.cause = "local"
                    await link.socket.close()
                    return
        except ConnectionClosed:
            pass  # told where it is read


def request_instance(directory: str | os.PathLike[str], offer: str, name: str, *, passphrase: str | None = None) -> str:
    """Makes the keys of a further instance of a person in this directory, from what the command `offerInstance` gave on a
    device with the person's key; the request for its command `certifyInstance`. Neither text is secret."""
    place = _place(directory)
    keys = told(ffi.Enrolling.create, offer, name, _clocks()[1])
    _replace(place / "keys.pending", told(keys.seal, passphrase))
    return str(told(keys.request))


def accept_instance(directory: str | os.PathLike[str], certificate: str, *, passphrase: str | None = None) -> None:
    """Takes the certificate that came back: `open_instance` opens the instance from now on."""
    place = _place(directory)
    pending = place / "keys.pending"
    if not pending.exists():
        raise LamaError("binding.no-keys", f"no instance was requested in {place}; call request_instance first")
    keys = told(told(ffi.Enrolling.open, pending.read_bytes(), passphrase).accept, certificate)
    _replace(place / "keys.lama", told(keys.seal, passphrase))
    pending.unlink()


def _place(directory: str | os.PathLike[str]) -> pathlib.Path:
    place = pathlib.Path(directory)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def _replace(file: pathlib.Path, content: bytes) -> None:
    """Durable under its name, or not there at all."""
    fresh = file.with_name(file.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def open_instance(directory: str | os.PathLike[str], *, email: str | None = None, name: str = "python",
                  passphrase: str | None = None) -> Host:
    """Opens the instance in this directory; the first time, with an e-mail address, makes one.

    Keys lie in `keys.lama`; without a passphrase whoever reads the directory has them.
    """
    place = _place(directory)
    file = place / "keys.lama"
    if file.exists():
        keys = told(ffi.Keys.open, file.read_bytes(), passphrase)
    elif email is None:
        raise LamaError("binding.no-keys", f"there is no instance in {place} yet; give an e-mail address to make one")
    else:
        keys = told(ffi.Keys.create, email, name, _clocks()[1])
        _replace(file, told(keys.seal, passphrase))
    return Host(keys, str(place / "store.redb"))
