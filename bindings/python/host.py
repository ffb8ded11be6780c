"""The loop around one instance on asyncio, with WebSockets by `websockets`: frames in, timers, outputs, frames out."""

import asyncio
import json
import os
import pathlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from . import lama_ffi as ffi
from .dial import DialFailure, allowed, connect
from .records import Contact, Invited, Made, Message, SharedItem

__all__ = ["Host", "LamaError", "allowed", "open_instance"]

MAX_MESSAGE = 65_535
"""The longest message of the protocol, in bytes."""
MAX_LINKS = 1024
"""Above it nobody is let in."""
DIAL_SECONDS = 10
PIECE = 1 << 20
"""How much of a file is read at once, in bytes."""


class LamaError(Exception):
    """Why something did not work: a stable `code`, and a `message` that says what to do."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{message} ({code})")
        self.code, self.message = code, message


def _told(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except ffi.LamaFailure.Failed as failure:
        raise LamaError(failure.code, failure.words) from None


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


class Host:
    """An instance that runs in the event loop it was made in, until `shutdown`."""

    def __init__(self, keys: ffi.Keys, store: str | None):
        self.identity: dict[str, str] = json.loads(_told(keys.identity))
        self._instance = _told(ffi.Instance.open, keys, store, *_clocks())
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[dict | None] = self._loop.create_future()
        """Done when it is over and the store is closed; `None`: it was shut down."""
        self._links: dict[int, _Link] = {}
        self._waiting: dict[int, asyncio.Future] = {}
        self._listeners: list[Callable[[dict], None]] = []
        self._tasks: set[asyncio.Task] = set()
        self._servers: list[Server] = []
        self._numbers = self._tickets = 0
        self._queued = False
        self._timer: asyncio.TimerHandle | None = None
        self._turned = asyncio.Event()
        self._wake()

    # What a program asks.

    async def call(self, type: str, **fields: Any) -> dict[str, Any]:
        """Any command of `bindings/plain` by its name; its reply. Raises `LamaError`."""
        if self.ended.done():
            raise LamaError("node.stopped", "the instance has ended; open it again")
        self._tickets += 1
        ticket, answer = self._tickets, self._loop.create_future()
        _told(self._instance.command, ticket, json.dumps({"type": type, **fields}), *_clocks())
        self._waiting[ticket] = answer
        self._wake()
        return await answer

    async def invite(self, **options: Any) -> Invited:
        return Invited.read(await self.call("invite", **options))

    async def join(self, link: str, **options: Any) -> Contact:
        return Contact.read((await self.call("join", link=link, **options))["contact"])

    async def contacts(self) -> list[Contact]:
        return [Contact.read(one) for one in (await self.call("contacts"))["contacts"]]

    async def send(self, to: str, text: str) -> str:
        """Writes to a contact; the id of the message, once it is durable here."""
        return (await self.call("send", to=to, text=text))["id"]

    async def log(self, person: str, limit: int = 100) -> list[Message]:
        """The last messages with a contact, oldest first."""
        return [Message.read(one) for one in (await self.call("log", **{"with": person}, limit=limit))["messages"]]

    async def shared(self) -> list[SharedItem]:
        return [SharedItem.read(one) for one in (await self.call("shared"))["items"]]

    async def share_file(self, name: str, data: bytes, people: list[str]) -> Made:
        """Stores a file and shares it, with a message that points to it."""
        number = _told(self._instance.begin_blob)
        for start in range(0, len(data), PIECE):
            _told(self._instance.push_blob, number, data[start:start + PIECE])
            self._wake()
            await asyncio.sleep(0)
        content = json.loads(_told(self._instance.finish_blob, number))
        made = Made.read(json.loads(_told(self._instance.make_file, name, content["blob"], content["size"], False)))
        await self.call("share", root=made.root, **{"with": people}, note=f"shared {name}")
        return made

    async def pieces(self, root: str) -> AsyncIterator[tuple[str, bytes]]:
        """The contents of a shared file or folder, verified: paths below it and bytes, piece by piece."""
        for file in json.loads(_told(self._instance.tree, root))["files"]:
            for start in range(0, file["size"], PIECE):
                yield file["path"], _told(self._instance.read, file["blob"], start, PIECE)
                self._wake()

    def on(self, listener: Callable[[dict], None]) -> Callable[[], None]:
        """Hears every event; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def listen(self, port: int = 0) -> str:
        """Listens on this machine's own address (port 0: a free one) and tells the contacts; its URL."""
        # A page of any site may try to connect to this machine; only what has no origin is no browser.
        server = await serve(lambda socket: self._serve(socket), "127.0.0.1", port, subprotocols=["lama.1"],
                             origins=[None], compression=None, max_size=MAX_MESSAGE, ping_interval=None)
        self._servers.append(server)
        url = f"ws://localhost:{server.sockets[0].getsockname()[1]}"
        _told(self._instance.listening, [url], *_clocks())
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
        await self._run(socket, lambda number: self._instance.link_dialled(number, dial["dial"], *_clocks()))

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


def open_instance(directory: str | os.PathLike, *, email: str | None = None, name: str = "python",
                  passphrase: str | None = None) -> Host:
    """Opens the instance in this directory; the first time, with an e-mail address, makes one.

    Keys lie in `keys.lama`; without a passphrase whoever reads the directory has them.
    """
    place = pathlib.Path(directory)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = place / "keys.lama"
    if file.exists():
        keys = _told(ffi.Keys.open, file.read_bytes(), passphrase)
    elif email is None:
        raise LamaError("binding.no-keys", f"there is no instance in {place} yet; give an e-mail address to make one")
    else:
        keys = _told(ffi.Keys.create, email, name, _clocks()[1])
        fresh = place / "keys.lama.new"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(_told(keys.seal, passphrase))
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
    return Host(keys, str(place / "store.redb"))
