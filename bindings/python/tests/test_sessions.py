"""Sessions without a node: with each other, and over a real WebSocket with the `lama` program."""

import os
import pathlib
import subprocess
import tempfile
import time
import unittest

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from lama_instance import Keys, KnownPeer, LamaError, MadeInvitation, Sessions

LAMA = os.environ["LAMA_PROGRAM"]


class Side:
    """What a program keeps, and what it answers."""

    def __init__(self, email: str):
        self.sessions = Sessions(Keys.create(email, "test"))
        self.invitations: dict[str, MadeInvitation] = {}
        self.peers: dict[str, KnownPeer] = {}
        self.spent: dict[str, str] = {}
        self.steps: list[dict] = []

    def invite(self) -> str:
        made = self.sessions.invite(["ws://localhost:8765"])
        self.invitations[made.locator] = made
        return made.link

    def live(self) -> None:
        while (step := self.sessions.poll()) is not None:
            match step:
                case {"type": "asked", "link": link, "locator": locator}:
                    found = self.invitations.get(locator)
                    self.sessions.answer(link, found and found.link, self.spent.get(locator))
                case {"type": "proved", "link": link, "key": key}:
                    self.sessions.expect(link, self.peers.get(key))
                case {"type": "verified", "link": link, "peer": peer, "locator": locator}:
                    self.peers[peer.key] = peer
                    if locator is not None:
                        self.spent[locator] = peer.key
                    self.sessions.proceed(link)
            self.steps.append(step)

    def types(self) -> list[str]:
        return [step["type"] for step in self.steps]


def run(*sides: Side) -> None:
    """Passes frames of link 1 until there are none."""
    moved = True
    while moved:
        moved = False
        for here, there in (sides, sides[::-1]):
            while (frame := here.sessions.poll_frame(1)) is not None:
                there.sessions.frame(1, frame)
                there.live()
                moved = True


class Alone(unittest.TestCase):
    def test_two_pair_talk_and_know_each_other_afterwards(self):
        ann, ben = Side("ann@lama.local"), Side("ben@lama.local")
        invitation = ann.invite()
        ann.sessions.accept(1)
        self.assertEqual(ben.sessions.join(1, invitation), ["ws://localhost:8765"])
        run(ben, ann)
        self.assertEqual((ann.types(), ben.types()), (["asked", "verified", "open"], ["verified", "open"]))
        self.assertEqual(ann.steps[-1]["checkCode"], ben.steps[-1]["checkCode"])
        ben.sessions.send(1, 3, bytes(1_000_000))
        ben.sessions.close(1)
        run(ben, ann)
        ben.live()
        self.assertEqual((ann.types()[3:], ben.types()[2:]), (["message", "closed"], ["closed"]))

        for side in (ann, ben):
            side.sessions.link_down(1)
            side.steps.clear()
        ann.sessions.accept(1)
        ben.sessions.dial(1, *ben.peers.values())
        run(ben, ann)
        self.assertEqual(ann.types(), ["asked", "proved", "verified", "open"])
        for n in range(5):
            ann.sessions.send(1, 2, bytes([n]) * 1_000_000)
        run(ben, ann)
        self.assertEqual([step["message"][0] for step in ben.steps if step["type"] == "message"], [0, 1, 2, 3, 4])
        self.assertGreater(ann.sessions.timeout(), 0)

    def test_errors_have_codes(self):
        ann = Side("ann@lama.local")
        with self.assertRaises(LamaError) as same:
            Side("ann@lama.local").sessions.join(1, ann.invite())
        self.assertIn("person", same.exception.message)
        with self.assertRaises(LamaError) as misuse:
            ann.sessions.accept(1)
            ann.sessions.proceed(1)
        self.assertEqual(misuse.exception.code, "binding.misuse")

    def test_keys_are_in_the_same_file_everywhere(self):
        keys = Keys.create("ann@lama.local", "desk")
        self.assertEqual(Keys.open(keys.seal("a passphrase"), "a passphrase").identity, keys.identity)


class WithTheProgram(unittest.TestCase):
    def test_it_is_joined(self):
        with tempfile.TemporaryDirectory(prefix="lama-sessions-") as place:
            data = str(pathlib.Path(place) / "data")

            def lama(*words: str) -> str:
                done = subprocess.run([LAMA, "--data", data, *words], capture_output=True, text=True, check=True, timeout=60)
                return done.stdout

            lama("init", "ada@lama.local", "--no-passphrase")
            running = subprocess.Popen([LAMA, "--data", data, "--json", "run", "--port", "0", "--while-stdin"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                while '"listening"' not in (line := running.stdout.readline()):
                    self.assertTrue(line, "it runs")
                invitation = lama("invite", "--no-wait", "--quiet").strip().splitlines()[-1]
                side = Side("light@lama.local")
                urls = side.sessions.join(1, invitation[invitation.index("lama:"):].strip("'\""))
                with connect(urls[0], subprotocols=["lama.1"], compression=None, proxy=None, max_size=65_535) as socket:
                    until = time.monotonic() + 60
                    while "message" not in side.types() and time.monotonic() < until:
                        side.live()
                        while (frame := side.sessions.poll_frame(1)) is not None:
                            socket.send(frame)
                        side.sessions.frame(1, socket.recv(timeout=60))
                        side.live()
                    side.sessions.close(1)
                    while (frame := side.sessions.poll_frame(1)) is not None:
                        socket.send(frame)
                    try:
                        socket.recv(timeout=60)
                    except ConnectionClosed:
                        pass
                self.assertEqual(side.types()[:3], ["verified", "open", "message"])
                self.assertIn("light@lama.local", lama("contacts"))
            finally:
                running.stdin.close()
                running.wait(60)
                running.stdout.close()
