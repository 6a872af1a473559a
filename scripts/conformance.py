#!/usr/bin/env python3
"""Runs E2B's published SDKs against Airlock's sandbox host.

    scripts/conformance.py [--airlock PROGRAM] [--only python|js] [NAME...]

The SDKs are installed once into .dev/conformance/, as tests/conformance pins them. A host is
started on a free port of loopback, both suites run against it, and it is stopped again. Each NAME
chooses the behaviours whose names hold it. Fails if any behaviour fails; what the host cannot
do yet stands in tests/conformance/expected-failures.json, and fails if it works.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
SUITES = ROOT / "tests" / "conformance"
DEV = ROOT / ".dev" / "conformance"
OLDEST_NODE = 20


def say(text):
    print(f"conformance: {text}", flush=True)


def fail(text):
    print(f"conformance: {text}", file=sys.stderr)
    sys.exit(1)


def program(given):
    """The airlock to test: the one named, else the workspace's debug build, made if missing."""
    path = pathlib.Path(given) if given else ROOT / "target" / "debug" / "airlock"
    if not given and not path.exists():
        say("building airlock")
        subprocess.run([os.environ.get("CARGO", "cargo"), "build", "--quiet", "--locked",
                        "--workspace", "--bins"], cwd=ROOT, check=True)
    if not path.is_file():
        fail(f"--airlock: {path} is no file")
    return path.resolve()


def node():
    """A Node that is new enough, from PATH or from .dev/bin."""
    path = os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / ".dev" / "bin")])
    found = shutil.which("node", path=path)
    if not found:
        fail(f"needs Node {OLDEST_NODE} or newer on PATH; `make tools` fetches one")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.strip().lstrip("v").split(".")[0]) < OLDEST_NODE:
        fail(f"needs Node {OLDEST_NODE} or newer, {found} is {version.stdout.strip()}")
    return found, shutil.which("npm", path=path)


def once(folder, pins, command):
    """Runs the installer `command` in an empty `folder` unless that was done for the same pins."""
    digest = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()[:16]
    mark = folder / f".installed-{digest}"
    if mark.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for pin in pins:
        shutil.copy(pin, folder)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"could not install {' '.join(pin.name for pin in pins)}:\n"
             f"{done.stdout[-2000:]}{done.stderr[-4000:]}")
    mark.touch()
    say(f"installed the SDKs of {pins[0].relative_to(ROOT)}")


def install_python():
    once(DEV / "python", [SUITES / "python" / "requirements.txt"],
         [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
          "--target", ".", "--requirement", "requirements.txt"])
    return DEV / "python"


def install_js(npm):
    if not npm:
        fail("needs npm on PATH; `make tools` fetches one with Node")
    once(DEV / "js", [SUITES / "js" / "package-lock.json", SUITES / "js" / "package.json"],
         [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"])
    link = SUITES / "js" / "node_modules"
    target = os.path.relpath(DEV / "js" / "node_modules", link.parent)
    if not link.is_symlink() or os.readlink(link) != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)


@contextlib.contextmanager
def host(airlock):
    """A running host; gives the environment by which an SDK reaches it."""
    with tempfile.TemporaryDirectory(prefix="airlock-conformance-") as data:
        command = [str(airlock), "sandbox", "host", "--listen", "127.0.0.1:0", "--json",
                   "--data-dir", data]
        errors = pathlib.Path(data) / "host.log"
        with errors.open("w") as log:
            started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        watchdog = threading.Timer(60, started.kill)
        watchdog.start()
        line = started.stdout.readline()
        watchdog.cancel()
        try:
            if not line.strip():
                fail(f"the host did not start:\n{errors.read_text()[-2000:]}")
            place = json.loads(line)
            kept = {name: value for name, value in os.environ.items()
                    if not name.startswith("E2B_")}
            yield {**kept, "E2B_API_URL": place["apiUrl"], "E2B_SANDBOX_URL": place["sandboxUrl"],
                   "E2B_API_KEY": place["apiKey"]}, started.pid
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(30)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def count(report):
    """Passed, expected to fail, and failed, of a JUnit report."""
    passed = expected = failed = 0
    for case in ElementTree.parse(report).iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None and "does not match pattern" in skip.get("message", ""):
            continue
        elif skip is not None and skip.get("type") != "pytest.xfail":
            fail(f"{case.get('name')} was skipped; a skip is no result")
        elif skip is not None or "[expected failure" in case.get("name", ""):
            expected += 1
        else:
            passed += 1
    return passed, expected, failed


def run_python(env, names, report):
    path = install_python()
    command = [sys.executable, "-m", "pytest", "--quiet", "--tb=short", f"--junitxml={report}"]
    if names:
        command += ["-k", " or ".join(names)]
    env = {**env, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=SUITES / "python", env=env, check=False).returncode


def run_js(env, names, report):
    program_, npm = node()
    install_js(npm)
    command = [program_, "--test", "--test-concurrency=2", "--test-reporter=dot",
               "--test-reporter-destination=stdout", "--test-reporter=junit",
               f"--test-reporter-destination={report}"]
    command += [f"--test-name-pattern={name}" for name in names]
    tests = sorted(str(path) for path in (SUITES / "js").glob("*.test.mjs"))
    return subprocess.run([*command, *tests], cwd=SUITES / "js", env=env, check=False).returncode


SUITE_OF = {"python": run_python, "js": run_js}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--airlock", help="the program to test; default target/debug/airlock")
    parser.add_argument("--only", choices=sorted(SUITE_OF), help="one language's SDK alone")
    parser.add_argument("names", nargs="*", help="behaviours to run, by a part of their names")
    chosen = parser.parse_args()
    airlock = program(chosen.airlock)
    lines, wrong = [], False
    with tempfile.TemporaryDirectory() as reports, host(airlock) as (env, _pid):
        for suite in [chosen.only] if chosen.only else ["python", "js"]:
            report = pathlib.Path(reports) / f"{suite}.xml"
            code = SUITE_OF[suite](env, chosen.names, report)
            if not report.exists():
                fail(f"the {suite} suite did not run (exit code {code})")
            passed, expected, failed = count(report)
            wrong |= code != 0 or failed > 0 or passed + expected == 0
            lines.append(f"{suite}: {passed} passed, {expected} failed as expected, "
                         f"{failed} failed")
    for line in lines:
        say(line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
