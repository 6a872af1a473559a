#!/usr/bin/env python3
"""Compares crates/e2b with E2B's JavaScript SDK: the same work, the same sandbox host.

    scripts/bench-sandboxes.py [--airlock PROGRAM] [--client PROGRAM] [--rounds N] [WORK...]

WORK is commands (500 times `true`, one after another), create (50 sandboxes), output (100 MB of
one command) or concurrent (200 commands at once, five times); all of it if none is named. The two
clients take turns, and the median of the rounds counts. What counts is CPU time: of the client's
process without its start-up, and of the host with all its sandboxes. On a machine that does other
things the clock says little. Build both sides with --release for figures that mean something.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

import conformance

ROOT = conformance.ROOT
TICK = os.sysconf("SC_CLK_TCK")
WORKS = ("commands", "create", "output", "concurrent")


def built_client():
    """The bench of crates/e2b, built in the release profile."""
    done = subprocess.run(
        [os.environ.get("CARGO", "cargo"), "bench", "--quiet", "--locked", "-p", "airlock-e2b",
         "--bench", "sandboxes", "--no-run", "--message-format=json"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for line in done.stdout.splitlines():
        artifact = json.loads(line)
        if artifact.get("target", {}).get("name") == "sandboxes" and artifact.get("executable"):
            return artifact["executable"]
    return conformance.fail("cargo built no bench named sandboxes")


def families():
    """All processes by their parent."""
    children = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = re.sub(r"^\d+ \(.*\) ", "", entry.read_text(), flags=re.DOTALL).split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(
            (int(entry.parent.name), sum(map(int, fields[11:15]))))
    return children


def host_seconds(host):
    """CPU time of the host, of what it runs and of what it has run."""
    children, ticks, waiting = families(), 0, [host]
    own = dict(pair for family in children.values() for pair in family)
    while waiting:
        process = waiting.pop()
        ticks += own.get(process, 0)
        waiting += [child for child, _ in children.get(process, [])]
    return ticks / TICK


def measure(command, work, env, host):
    before = host_seconds(host)
    done = subprocess.run([*command, work], env=env, stdout=subprocess.PIPE, text=True,
                          check=False, timeout=900, cwd=ROOT)
    after = host_seconds(host)
    if done.returncode != 0 or not done.stdout.strip():
        conformance.fail(f"{' '.join(command)} {work} failed (exit code {done.returncode})")
    figures = json.loads(done.stdout)
    figures["host"] = max(after - before, 0)
    return figures


def median(rounds, field):
    return statistics.median(figures[field] for figures in rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--airlock", help="the program whose host serves; default target/debug/airlock")
    parser.add_argument("--client", help="the built bench of crates/e2b; built if absent")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("works", nargs="*", metavar="WORK", help=", ".join(WORKS))
    chosen = parser.parse_args()
    unknown = set(chosen.works) - set(WORKS)
    if unknown or chosen.rounds < 1:
        parser.error(f"WORK is one of {', '.join(WORKS)}; --rounds is at least 1")
    node, npm = conformance.node()
    conformance.install_js(npm)
    rust = [chosen.client or built_client()]
    js = [node, str(ROOT / "tests" / "conformance" / "js" / "bench.mjs")]
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'':12}{'CPU ms of the client':>27}{'':9}{'CPU ms of the host':>24}{'seconds':>18}")
    print(f"{'each':12}{'rust':>9}{'js':>9}{'rust/js':>9}{'with rust':>21}{'with js':>12}"
          f"{'rust':>9}{'js':>9}")
    with conformance.host(conformance.program(chosen.airlock)) as (env, host):
        for work in chosen.works or WORKS:
            rounds = [(measure(rust, work, env, host), measure(js, work, env, host))
                      for _ in range(chosen.rounds)]
            ours, theirs = ([pair[side] for pair in rounds] for side in (0, 1))
            count = ours[0]["count"]
            each = [1000 * median(side, field) / count
                    for field in ("cpu", "host") for side in (ours, theirs)]
            ratio = each[0] / each[1] if each[1] else float("nan")
            print(f"{work:12}{each[0]:9.3f}{each[1]:9.3f}{ratio:9.2f}{each[2]:21.2f}{each[3]:12.2f}"
                  f"{median(ours, 'wall'):9.2f}{median(theirs, 'wall'):9.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
