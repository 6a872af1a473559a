#!/usr/bin/env python3
"""Other secret scanners beside ours, on the corpus that our bench generates.

Installs detect-secrets (PyPI) and secretlint (npm) into .dev/peers, with --ripsecrets also
ripsecrets (crates.io, compiled here), and prints a table. A line counts as found if the
scanner says anything about it. Time is processor time, less that of a start on an empty file.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".dev" / "peers"
SECRETLINT = ["secretlint", "@secretlint/secretlint-rule-preset-recommend"]


def run(command, **options):
    """Output of a command, and its processor time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):  # 1 is how scanners say that they found something
        sys.exit(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def detect_secrets(path):
    python = HOME / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(HOME / "venv", with_pip=True)
    if not (HOME / "venv" / "bin" / "detect-secrets").exists():
        run([str(python), "-m", "pip", "install", "--quiet", "detect-secrets"])
    scan = [str(HOME / "venv" / "bin" / "detect-secrets"), "scan", "--all-files", path.name]
    out, seconds = run(scan, cwd=path.parent)
    found = json.loads(out)["results"].values()
    return {hit["line_number"] for hits in found for hit in hits}, seconds


def secretlint(path):
    home = HOME / "npm"
    home.mkdir(parents=True, exist_ok=True)
    binary = home / "node_modules" / ".bin" / "secretlint"
    if not binary.exists():
        (home / "package.json").write_text('{"private": true}\n')
        run(["npm", "install", "--silent", "--no-audit", "--no-fund", *SECRETLINT], cwd=home)
    (home / ".secretlintrc.json").write_text(json.dumps({"rules": [{"id": SECRETLINT[1]}]}))
    copy = home / path.name
    copy.write_bytes(path.read_bytes())
    # Into a file: it leaves before a pipe has taken all.
    report = home / "report.json"
    report.unlink(missing_ok=True)
    command = [str(binary), "--format", "json", "--output", report.name, copy.name]
    _, seconds = run(command, cwd=home)
    # Without findings it may write nothing.
    files = json.loads(report.read_text()) if report.exists() else []
    lines = {hit["loc"]["start"]["line"] for file in files for hit in file["messages"]}
    return lines, seconds


def ripsecrets(path):
    binary = HOME / "cargo" / "bin" / "ripsecrets"
    if not binary.exists():
        run(["cargo", "install", "--quiet", "--root", str(HOME / "cargo"), "ripsecrets"])
    out, seconds = run([str(binary), str(path)])
    return {int(line) for line in re.findall(r"^[^:\n]+:(\d+):", out, re.M)}, seconds


def ours(path):
    bench = ["cargo", "bench", "--quiet", "-p", "airlock-redaction", "--bench", "redact", "--"]
    run([*bench, "corpus", str(path.parent)], cwd=ROOT)
    out, _ = run([*bench, "file", str(path)], cwd=ROOT)
    speed = float(out.split()[0])
    found = (path.parent / "found.tsv").read_text().split()
    return {int(line) for line in found}, path.stat().st_size / speed / 1e6


def lines_of(path):
    return {int(line.split("\t")[0]) for line in path.read_text().splitlines()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ripsecrets", action="store_true", help="compile ripsecrets too")
    peers = [detect_secrets, secretlint]
    if parser.parse_args().ripsecrets:
        peers.append(ripsecrets)
    corpus = HOME / "corpus" / "corpus.txt"
    corpus.parent.mkdir(parents=True, exist_ok=True)
    empty = HOME / "corpus" / "empty.txt"
    empty.write_text("nothing\n")
    measured = [("airlock", *ours(corpus))]
    for peer in peers:
        _, start = peer(empty)
        found, seconds = peer(corpus)
        measured.append((peer.__name__, found, max(seconds - start, 1e-3)))
    secrets = lines_of(corpus.parent / "secrets.tsv")
    size = os.path.getsize(corpus) / 1e6
    print(f"{size:.1f} MB, {len(secrets)} lines with secrets\n")
    print(f"{'':<16}{'recall':>8}{'precision':>11}{'false/MB':>10}{'MB/s':>8}")
    for name, found, seconds in measured:
        right, wrong = len(found & secrets), len(found - secrets)
        precision = right / max(right + wrong, 1)
        figures = f"{right / len(secrets):>8.3f}{precision:>11.3f}{wrong / size:>10.1f}"
        print(f"{name:<16}{figures}{size / seconds:>8.1f}")


if __name__ == "__main__":
    main()
