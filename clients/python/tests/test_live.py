"""Joins a running instance, as a user would: `lama run` in one process, this client in another."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

from lama import client, objects
from lama.identity import LocalIdentity
from lama.objects import ProtocolError

LAMA = os.environ.get("LAMA_BIN")


class Instance:
    """A fresh instance that runs until the end of the `with`."""

    def __init__(self, runtime: str):
        self._runtime = runtime

    def __enter__(self) -> "Instance":
        self._dir = tempfile.TemporaryDirectory(prefix="lama-python-")
        self._data = str(pathlib.Path(self._dir.name) / "data")
        self.command("init", "node-demo@lama.local", "--name", "node", "--no-passphrase")
        self._process = subprocess.Popen(
            [LAMA, "--data", self._data, "--runtime", self._runtime, "--json", "run", "--port", "0", "--while-stdin"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self._env())
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stderr.close()
        self._dir.cleanup()

    def _env(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("LAMA_")}

    def command(self, *arguments: str):
        """Runs a command and gives its last line of JSON."""
        done = subprocess.run([LAMA, "--data", self._data, "--json", *arguments], env=self._env(), timeout=60,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"lama {' '.join(arguments)}: {done.stderr or done.stdout}")
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    def invite(self, *options: str) -> dict:
        """An invitation of the running instance: one that is made before it runs leads to where nobody listens yet."""
        for _ in range(300):
            try:
                if self.command("status")["running"]:
                    return self.command("invite", "--no-wait", *options)
            except AssertionError:
                if self._process.poll() is not None:
                    raise AssertionError(self._process.stderr.read().decode()) from None
            time.sleep(0.1)
        raise AssertionError("the instance does not start")


def python_identity(name: str = "python") -> LocalIdentity:
    return LocalIdentity(f"{name}@lama.local", "client", int(time.time()))


@unittest.skipUnless(LAMA, "LAMA_BIN names the program")
class Live(unittest.TestCase):
    def test_pairs_receives_the_first_objects_and_acknowledges_them(self):
        for runtime in ("tokio", "smol"):
            with self.subTest(runtime), Instance(runtime) as instance:
                me = python_identity()
                result = client.join(instance.invite()["link"], me, say="hello from Python")
                self.assertEqual(result.peer.identity.fields["person"]["email"], "node-demo@lama.local")
                self.assertTrue(result.in_sync)
                self.assertGreaterEqual(result.acknowledged, result.shared)
                ids = [cid for cid, _ in result.received]
                self.assertIn(objects.cid(objects.encode(result.peer.identity.fields["person"])), ids)
                contacts = json.dumps(instance.command("contacts"))
                self.assertIn("python@lama.local", contacts)
                self.assertIn("hello from Python", json.dumps(instance.command("log")))

    def test_an_invitation_is_good_for_one(self):
        with Instance("tokio") as instance:
            link = instance.invite()["link"]
            client.join(link, python_identity("first"))
            with self.assertRaises(ProtocolError):
                client.join(link, python_identity("second"))
            contacts = json.dumps(instance.command("contacts"))
            self.assertIn("first@lama.local", contacts)
            self.assertNotIn("second@lama.local", contacts)

    def test_the_same_joiner_may_come_again(self):
        with Instance("smol") as instance:
            link, me = instance.invite()["link"], python_identity()
            first, second = client.join(link, me), client.join(link, me)
            self.assertTrue(first.in_sync and second.in_sync)

    def test_a_changed_field_never_pairs(self):
        with Instance("tokio") as instance:
            from lama import invitation
            invited = invitation.parse(instance.invite()["link"], int(time.time()))
            invited.fields["policy"] = "confirm"
            with self.assertRaises((ProtocolError, TimeoutError)):
                client.join(invited.link(), python_identity(), seconds=15)
            self.assertNotIn("python@lama.local", json.dumps(instance.command("contacts")))


if __name__ == "__main__":
    unittest.main()
