"""An instance in Python with one in Node, over real WebSockets: either invites, they talk, share, and agree."""

import asyncio
import json
import os
import pathlib
import tempfile
import unittest

from lama_instance import Host, LamaError, open_instance

SECONDS = 120
PEER = pathlib.Path(__file__).with_name("peer.mjs")


class Node:
    """A process of Node with an instance in it."""

    def __init__(self, directory: pathlib.Path, email: str):
        self._arguments = [str(PEER), str(directory), email]
        self._waiting: dict[int, asyncio.Future] = {}
        self.events: list[dict] = []
        self._news = asyncio.Event()
        self._numbers = 0

    async def __aenter__(self) -> "Node":
        self._process = await asyncio.create_subprocess_exec(
            "node", *self._arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24)
        self.identity = json.loads(await self._process.stdout.readline())["identity"]
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_) -> None:
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), SECONDS)
        await self._reading

    async def _read(self) -> None:
        async for line in self._process.stdout:
            said = json.loads(line)
            if "event" in said:
                self.events.append(said["event"])
            else:
                self._waiting.pop(said["id"]).set_result(said)
            self._news.set()
            self._news = asyncio.Event()

    async def ask(self, **asked) -> dict:
        self._numbers += 1
        answer = self._waiting[self._numbers] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": self._numbers, **asked}).encode() + b"\n")
        said = await asyncio.wait_for(answer, SECONDS)
        if "problem" in said:
            raise LamaError(**said["problem"])
        return said["reply"]

    async def call(self, type: str, **fields) -> dict:
        return await self.ask(command={"type": type, **fields})

    async def heard(self, is_it) -> dict:
        async with asyncio.timeout(SECONDS):
            while not (found := [event for event in self.events if is_it(event)]):
                await self._news.wait()
        return found[0]


async def until(look):
    """Waits until the answer is something."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                if found := await look():
                    return found
            except LamaError:
                pass
            await asyncio.sleep(0.05)


class WithNode(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        os.environ["LAMA_JS_PACKAGE"]  # set by `cargo xtask bindings python --test`
        temp = tempfile.TemporaryDirectory(prefix="lama-languages-")
        self.addCleanup(temp.cleanup)
        self.temp = pathlib.Path(temp.name)

    async def test_python_joins_node(self):
        async with Node(self.temp / "node", "node@lama.local") as node:
            host = open_instance(self.temp / "python", email="python@lama.local")
            link = (await node.call("invite"))["link"]
            contact = await asyncio.wait_for(host.join(link), SECONDS)
            self.assertEqual((contact.email, contact.person), ("node@lama.local", node.identity["person"]))
            await self.work(host, node)

    async def test_node_joins_python(self):
        async with Node(self.temp / "node", "node@lama.local") as node:
            host = open_instance(self.temp / "python", email="python@lama.local")
            await host.listen()
            joined = await node.call("join", link=(await host.invite()).link)
            self.assertEqual(joined["contact"]["person"], host.identity.person)
            await self.work(host, node)

    async def work(self, host: Host, node: Node) -> None:
        """Chat and files both ways; at the end both say that they hold the same."""
        python, other = host.identity.person, node.identity["person"]
        fingerprints: list[str] = []
        host.on(lambda event: fingerprints.append(event["fingerprint"]) if event["type"] == "inSync" else None)
        await host.send(other, "hello Node")
        message = await node.heard(lambda event: event["type"] == "message")
        self.assertEqual((message["message"]["text"], message["message"]["author"]), ("hello Node", python))
        await node.call("send", to=python, text="hello Python")

        async def texts():
            found = [message.text for message in await host.log(other)]
            return found if len(found) == 2 else None

        self.assertEqual(await until(texts), ["hello Node", "hello Python"])

        data = bytes(at * 5 % 253 for at in range(1_500_000))
        made = await host.share_file("from-python.bin", data, [other])
        got = await until(lambda: node.ask(sum=made.root))
        self.assertEqual((got["size"], got["total"]), (len(data), sum(data)))
        made = await node.ask(share={"name": "from-node.bin", "size": 1_200_000, "people": [python]})

        async def content():
            return b"".join([piece async for _, piece in host.pieces(made["root"])])

        self.assertEqual(await until(content), bytes(at * 7 % 251 for at in range(1_200_000)))

        async def agreed():
            theirs = [event["fingerprint"] for event in node.events if event["type"] == "inSync"]
            return fingerprints and theirs and fingerprints[-1] == theirs[-1]

        await until(agreed)
        await host.shutdown()


if __name__ == "__main__":
    unittest.main()
