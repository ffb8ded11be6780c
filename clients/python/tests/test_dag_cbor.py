"""The encoding against vectors/dag-cbor: another implementation judges what ours writes and refuses."""

import importlib.util
import pathlib
import unittest

CHECK = pathlib.Path(__file__).parents[3] / "vectors" / "dag-cbor" / "check.py"


class DagCbor(unittest.TestCase):
    def test_both_directions(self):
        spec = importlib.util.spec_from_file_location("check", CHECK)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.check()


if __name__ == "__main__":
    unittest.main()
