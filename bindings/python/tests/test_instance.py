"""Instances in Python with real WebSockets: with the `lama` program on each runtime, and with each other."""

import asyncio
import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import lama_instance
from lama_instance import (
    Contact, Host, LamaError, accept_instance, allowed, lama_ffi, look_at_invitation, open_instance, request_instance,
)

LAMA = os.environ["LAMA_PROGRAM"]
VECTORS = pathlib.Path(__file__).parents[3] / "vectors"
RUNTIMES = ("tokio", "smol")
SECONDS = 60
# That opening a store holds the event loop for a moment is known.
logging.getLogger("asyncio").setLevel(logging.ERROR)


class Program:
    """A fresh `lama` instance that runs until the end of the `with`."""

    def __init__(self, runtime: str):
        self._runtime = runtime

    async def __aenter__(self) -> "Program":
        self._dir = tempfile.TemporaryDirectory(prefix="lama-python-")
        self._data = str(pathlib.Path(self._dir.name) / "data")
        await self.ask("init", "ada@lama.local", "--no-passphrase")
        self._process = subprocess.Popen(
            [LAMA, "--data", self._data, "--runtime", self._runtime, "--json", "run", "--port", "0", "--while-stdin"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._env())
        async with asyncio.timeout(SECONDS):
            while not (await self.ask("status"))["running"]:
                await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._dir.cleanup()

    @staticmethod
    def _env() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("LAMA_")}

    async def ask(self, *words: str, **variables: str):
        """Runs a command beside the event loop and gives its last line of JSON."""
        done = await asyncio.to_thread(
            subprocess.run, [LAMA, "--data", self._data, "--json", *words], env=self._env() | variables,
            timeout=SECONDS, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"lama {' '.join(words)}: {done.stderr or done.stdout}")
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    async def shows(self, text: str, *words: str) -> None:
        """Waits until the answer to a command has this in it."""
        async with asyncio.timeout(SECONDS):
            while text not in json.dumps(await self.ask(*words)):
                await asyncio.sleep(0.1)


async def heard(host: Host, text: str) -> dict:
    """The event of the message with this text, from now on."""
    found: asyncio.Future[dict] = asyncio.get_running_loop().create_future()

    def listen(event: dict) -> None:
        if event["type"] == "message" and event["message"]["text"] == text and not found.done():
            found.set_result(event["message"])

    stop = host.on(listen)
    try:
        return await asyncio.wait_for(found, SECONDS)
    finally:
        stop()


async def talk(host: Host, program: Program, contact: Contact) -> None:
    """Chat both ways."""
    waiting = asyncio.create_task(heard(host, "hello Python"))
    await asyncio.sleep(0)
    await program.ask("send", host.identity.email, "hello Python")
    message = await waiting
    assert message["author"] == contact.person, message
    await host.send(contact.person, "hello program")
    await program.shows("hello program", "log")


class Instances(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        temp = tempfile.TemporaryDirectory(prefix="lama-python-")
        self.addCleanup(temp.cleanup)
        self.temp = pathlib.Path(temp.name)

    async def test_python_joins_the_program_and_comes_back_from_its_store(self):
        for runtime in RUNTIMES:
            with self.subTest(runtime):
                async with Program(runtime) as program:
                    link = (await program.ask("invite", "--no-wait"))["link"]
                    host = open_instance(self.temp / runtime, email=f"{runtime}@lama.local")
                    contact = await asyncio.wait_for(host.join(link), SECONDS)
                    self.assertEqual((contact.email, contact.state), ("ada@lama.local", "active"))
                    await talk(host, program, contact)
                    await host.shutdown()
                    host = open_instance(self.temp / runtime)
                    self.assertIn(contact.person, [one.person for one in await host.contacts()])
                    waiting = asyncio.create_task(heard(host, "welcome back"))
                    await program.ask("send", host.identity.email, "welcome back")
                    await waiting
                    texts = [message.text for message in await host.log(contact.person)]
                    self.assertEqual(texts, ["hello Python", "hello program", "welcome back"])
                    await host.shutdown()

    async def test_the_program_joins_python(self):
        for runtime in RUNTIMES:
            with self.subTest(runtime):
                async with Program(runtime) as program:
                    host = open_instance(self.temp / runtime, email=f"{runtime}@lama.local")
                    await host.listen()
                    invited = await host.invite()
                    await program.ask("join", LAMA_INVITATION=invited.link)
                    [contact] = await host.contacts()
                    self.assertEqual(contact.email, "ada@lama.local")
                    await talk(host, program, contact)
                    await host.shutdown()

    async def test_two_in_python_share_a_file(self):
        ada = open_instance(self.temp / "ada", email="ada@lama.local")
        bob = open_instance(self.temp / "bob", email="bob@lama.local")
        await ada.listen()
        invited = await ada.invite()
        self.assertEqual(json.loads(look_at_invitation(invited.link))["person"], ada.identity.person)
        contact = await asyncio.wait_for(bob.join(invited.link), SECONDS)
        data = bytes(range(256)) * 12_289
        await bob.share_file("numbers.bin", data, [contact.person])
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    [item] = await ada.shared()
                    got = b"".join([piece async for _, piece in ada.pieces(item.root)])
                    break
                except (LamaError, ValueError):
                    await asyncio.sleep(0.05)
        self.assertEqual((item.name, got == data), ("numbers.bin", True))
        await bob.shutdown()
        await ada.shutdown()

    async def test_two_that_listen_nowhere_meet_through_a_relay(self):
        relay = await asyncio.create_subprocess_exec(
            LAMA, "--json", "relay", "run", "--dev", "--listen", "127.0.0.1:0",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        try:
            address = json.loads(await asyncio.wait_for(relay.stdout.readline(), SECONDS))["address"]
            hosts = [open_instance(self.temp / name, email=f"{name}@lama.local") for name in ("ada", "bob")]
            ada, bob = hosts
            for host in hosts:
                registered = asyncio.get_running_loop().create_future()
                stop = host.on(lambda event: event["type"] == "relayRegistered" and registered.set_result(event))
                await host.set_relays([address])
                self.assertEqual((await asyncio.wait_for(registered, SECONDS))["relay"], address)
                stop()
            invited = await ada.invite()
            contact = await asyncio.wait_for(bob.join(invited.link), SECONDS)
            waiting = asyncio.create_task(heard(ada, "through the relay"))
            await asyncio.sleep(0)
            await bob.send(contact.person, "through the relay")
            await waiting
            status = await ada.status()
            self.assertEqual([peer.path for peer in status.peers], ["relay"])
            [kept] = await ada.relays()
            self.assertEqual((kept.address, kept.state), (address, "registered"))
            for host in hosts:
                await host.shutdown()
        finally:
            relay.terminate()
            await relay.wait()

    async def test_a_further_instance_is_enrolled_and_what_was_shared_is_taken_back(self):
        ada = open_instance(self.temp / "ada", email="ada@lama.local")
        bob = open_instance(self.temp / "bob", email="bob@lama.local")
        await ada.listen()
        contact = await asyncio.wait_for(bob.join((await ada.invite(label="for Bob")).link), SECONDS)
        self.assertEqual([one.label for one in await ada.invitations()], ["for Bob"])
        made = await bob.share_folder("trip", {"a.txt": b"a", "deep/b.txt": b"bb"}, [contact.person])
        self.assertEqual([file.path for file in bob.tree(made.root).files], ["a.txt", "deep/b.txt"])
        [item] = await bob.shared()
        self.assertEqual((item.kind, item.with_), ("folder", [contact.person]))
        async with asyncio.timeout(SECONDS):
            while (told := await bob.explain(made.root, contact.person)).standing != "acknowledged":
                await asyncio.sleep(0.05)
        self.assertTrue(told.rules and told.instances)
        self.assertGreater((await bob.unshare(made.root, [contact.person])).stays, 0)
        quota = await ada.set_quota(bob.identity.person, objects=100, days=30)
        self.assertEqual((quota.max_objects, quota.days), (100, 30))

        with self.assertRaises(LamaError) as caught:
            accept_instance(self.temp / "phone", "nonsense")
        self.assertEqual(caught.exception.code, "binding.no-keys")
        request = request_instance(self.temp / "phone", await ada.offer_instance(), "phone", passphrase="open sesame")
        certificate = await ada.certify_instance(request)
        accept_instance(self.temp / "phone", certificate, passphrase="open sesame")
        phone = open_instance(self.temp / "phone", passphrase="open sesame")
        self.assertEqual((phone.identity.person, phone.identity.name), (ada.identity.person, "phone"))
        self.assertEqual([one.email for one in await phone.contacts()], ["bob@lama.local"])
        [other] = [one for one in await ada.instances() if not one.is_this]
        await ada.revoke_instance(other.key, reason="lost")
        self.assertEqual([one.revoked for one in await ada.instances() if not one.is_this], [True])
        self.assertEqual((await ada.check_store()).objects, (await ada.status()).objects)
        for host in (ada, bob, phone):
            await host.shutdown()

    async def test_people_are_blocked_and_routes_are_switched_off(self):
        ada = open_instance(self.temp / "ada", email="ada@lama.local")
        bob = open_instance(self.temp / "bob", email="bob@lama.local")
        url = await ada.listen()
        contact = await asyncio.wait_for(bob.join((await ada.invite()).link), SECONDS)
        person = bob.identity.person

        async def stands(host: Host, state: str) -> None:
            async with asyncio.timeout(SECONDS):
                while [peer.state for peer in (await host.status()).peers] != [state]:
                    await asyncio.sleep(0.05)

        await stands(ada, "inSync")
        await ada.block(person)
        await stands(ada, "blocked")
        self.assertEqual([(one.person, one.email) for one in await ada.blocked()], [(person, "bob@lama.local")])
        await bob.send(contact.person, "hello?")
        await ada.unblock(person)
        self.assertEqual(await ada.blocked(), [])
        await bob.connect(contact.person)
        await stands(ada, "inSync")
        self.assertEqual([message.text for message in await ada.log(person)], ["hello?"])

        [route] = await bob.routes()
        self.assertEqual((route.route, route.relayed, route.off_by, route.in_use), (url, False, None, True))
        for by, scope in (("person", {"person": contact.person}), ("instance", {"instance": route.peer.instance}),
                          ("route", {"route": url})):
            await bob.set_route(False, **scope)
            await stands(bob, "off")
            self.assertEqual([one.off_by for one in await bob.routes()], [by])
            await bob.set_route(True, **scope)
            await stands(bob, "inSync")
        with self.assertRaises(LamaError) as caught:
            await bob.set_route(False)
        self.assertEqual(caught.exception.code, "binding.argument")
        for host in (ada, bob):
            await host.shutdown()

    async def test_errors_have_codes(self):
        host = open_instance(self.temp / "it", email="it@lama.local")
        with self.assertRaises(LamaError) as caught:
            open_instance(self.temp / "it")
        self.assertEqual(caught.exception.code, "store-locked")
        with self.assertRaises(LamaError) as caught:
            await host.call("send", to="nobody", text="hello")
        self.assertEqual(caught.exception.code, "binding.argument")
        await host.shutdown()
        with self.assertRaises(LamaError) as caught:
            await host.contacts()
        self.assertEqual(caught.exception.code, "node.stopped")
        with self.assertRaises(LamaError) as caught:
            open_instance(self.temp / "empty")
        self.assertEqual(caught.exception.code, "binding.no-keys")


class Vectors(unittest.TestCase):
    def test_the_library_makes_the_same_vectors(self):
        made = json.loads(lama_ffi.vector_files())
        self.assertGreaterEqual(len(made), 26)
        for name, text in made.items():
            with self.subTest(name):
                self.assertEqual(text, (VECTORS / f"{name}.json").read_text("utf-8"))


class Types(unittest.TestCase):
    def test_the_surface_is_typed(self):
        # Strictly, with what is generated left out; and this file uses it as a program would.
        package = pathlib.Path(lama_instance.__file__).parent
        done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", os.devnull,
                               *[str(file) for file in package.glob("*.py") if file.name != "lama_ffi.py"]],
                              capture_output=True, text=True, check=False, cwd=package.parent)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue((package / "py.typed").exists())


class Addresses(unittest.TestCase):
    def test_only_what_the_dial_allows(self):
        for address, needs in (("127.0.0.1", "loopback"), ("::1", "loopback"), ("10.1.2.3", "private"),
                               ("169.254.1.1", "private"), ("100.64.0.1", "private"), ("fe80::1", "private"),
                               ("9.9.9.9", "none"), ("0.0.0.0", "never"), ("224.0.0.1", "never"),
                               ("::ffff:127.0.0.1", "never"), ("2002:7f00:1::", "never")):
            for loopback in (False, True):
                for private in (False, True):
                    want = {"loopback": loopback, "private": private, "none": True, "never": False}[needs]
                    with self.subTest(address, loopback=loopback, private=private):
                        self.assertEqual(allowed(address, loopback=loopback, private=private), want)


if __name__ == "__main__":
    unittest.main()
