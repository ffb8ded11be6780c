"""Packs a directory as a wheel: `python3 wheel.py PACKAGE VERSION REQUIREMENTS OUT`. Nothing but the standard library.

The library in it is this system's own, and speaks the C interface alone: so one wheel serves every Python 3.11 and later.
"""

import base64
import hashlib
import pathlib
import sys
import sysconfig
import zipfile

METADATA = """\
Metadata-Version: 2.4
Name: lama-instance
Version: {version}
Summary: A whole LAMA instance: two of them meet, come to trust each other and keep their data in sync
License-Expression: MIT OR Apache-2.0
Requires-Python: >=3.11
{requires}"""
WHEEL = """\
Wheel-Version: 1.0
Generator: lama
Root-Is-Purelib: false
Tag: {tag}
"""


def main(package: pathlib.Path, version: str, requirements: pathlib.Path, out: pathlib.Path) -> None:
    lines = requirements.read_text("utf-8").splitlines()
    requires = "".join(f"Requires-Dist: {line}\n" for line in lines if line and not line.startswith("#"))
    tag = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
    info = f"lama_instance-{version}.dist-info"
    files = {f"{package.name}/{file.name}": file.read_bytes() for file in sorted(package.iterdir()) if file.is_file()}
    files[f"{info}/METADATA"] = METADATA.format(version=version, requires=requires).encode()
    files[f"{info}/WHEEL"] = WHEEL.format(tag=tag).encode()
    record = "".join(f"{name},sha256={digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.whl"):
        old.unlink()
    wheel = out / f"lama_instance-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            # The same bytes give the same wheel, whenever it is made.
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    print(wheel)


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4]))
