#!/usr/bin/env python3
"""Runs fuzz targets for a bounded time each, on stable Rust.

    scripts/fuzz.py                          every target, 60 seconds each
    scripts/fuzz.py paths ranges --seconds 600
    scripts/fuzz.py paths --input FILE       one input, to see it fail
    scripts/fuzz.py --list

A target begins with its seeds in fuzz/seeds/<target>/ and with what earlier runs found, which is
kept below the target directory. A crash, an input that takes longer than --timeout, or memory over
--memory fails the run; the input that did it is kept, and its path is printed.

It needs a C++ compiler, for libFuzzer. Rust's nightly sanitizers are left out: what is fuzzed is
safe Rust, where a mistake is a panic.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZ = ROOT / "fuzz"
BUILD = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "fuzz"

# What libFuzzer needs to see: which code ran, and what was compared.
FLAGS = " ".join(
    [
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
        "--cfg fuzzing",
    ]
)


def known_targets() -> list[str]:
    return sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))


def host() -> str:
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return next(line.split()[1] for line in version.splitlines() if line.startswith("host:"))


def build(targets: list[str]) -> pathlib.Path:
    # With --target the flags are for the fuzzed code alone, not for build scripts and macros.
    triple = host()
    command = ["cargo", "build", "--release", "--locked", "--target", triple]
    command += ["--manifest-path", str(FUZZ / "Cargo.toml"), "--target-dir", str(BUILD)]
    command += [argument for target in targets for argument in ("--bin", target)]
    flags = f"{FLAGS} {os.environ.get('RUSTFLAGS', '')}".strip()
    subprocess.run(command, check=True, env={**os.environ, "RUSTFLAGS": flags})
    return BUILD / triple / "release"


def run(binary: pathlib.Path, options: argparse.Namespace) -> dict:
    target = binary.name
    corpus, found = BUILD / "corpus" / target, BUILD / "found" / target
    seeds = FUZZ / "seeds" / target
    for directory in (corpus, found):
        directory.mkdir(parents=True, exist_ok=True)
    command = [str(binary), f"-rss_limit_mb={options.memory}", f"-timeout={options.timeout}"]
    if options.input:
        command += [str(options.input)]
    else:
        command += [f"-max_total_time={options.seconds}", f"-max_len={options.max_length}"]
        command += [f"-artifact_prefix={found}/", "-print_final_stats=1", "-reload=0"]
        dictionary = FUZZ / "dictionaries" / f"{target}.dict"
        command += [f"-dict={dictionary}"] if dictionary.exists() else []
        command += [str(corpus), *([str(seeds)] if seeds.is_dir() else [])]
    # A runner that hangs itself must not hang its caller.
    limit = None if options.input else options.seconds * 2 + 300
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            output += "\nthe runner did not end in time\n"
    return {"target": target, "ok": process.returncode == 0, **numbers(output), "output": output}


def numbers(output: str) -> dict:
    def last(pattern: str) -> int:
        values = re.findall(pattern, output)
        return int(values[-1]) if values else 0

    return {
        "runs": last(r"stat::number_of_executed_units:\s*(\d+)"),
        "per_second": last(r"stat::average_exec_per_sec:\s*(\d+)"),
        "coverage": last(r"cov: (\d+)"),
        "inputs": last(r"corp: (\d+)"),
        "peak_mib": last(r"stat::peak_rss_mb:\s*(\d+)"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--timeout", type=int, default=10, help="seconds for one input (default: 10)")
    parser.add_argument("--memory", type=int, default=1024, help="MiB at most (default: 1024)")
    parser.add_argument("--max-length", type=int, default=65536, help="of an input (default: 65536)")
    parser.add_argument("--input", type=pathlib.Path, help="run one target on this file alone")
    parser.add_argument("--json", action="store_true", help="one JSON object a target")
    parser.add_argument("--list", action="store_true", help="print the targets")
    options = parser.parse_args()
    known = known_targets()
    if options.list:
        print("\n".join(known))
        return 0
    targets = options.targets or known
    for target in targets:
        if target not in known:
            parser.error(f"no target '{target}'; there are {', '.join(known)}")
    if options.input and len(options.targets) != 1:
        parser.error("--input is for one target: name it")
    if options.seconds < 1:
        parser.error("--seconds: use 1 or more (0 would be for ever)")

    try:
        binaries = build(targets)
    except subprocess.CalledProcessError as failed:
        print(f"fuzz: the targets do not build (exit {failed.returncode})", file=sys.stderr)
        return 1
    failures = 0
    if not options.json:
        print(f"{'target':<20} {'runs':>12} {'a second':>9} {'coverage':>9} {'inputs':>7} {'peak MiB':>9}")
    for target in targets:
        result = run(binaries / target, options)
        output = result.pop("output")
        failures += not result["ok"]
        if options.json:
            print(json.dumps(result), flush=True)
        else:
            columns = "{target:<20} {runs:>12} {per_second:>9} {coverage:>9} {inputs:>7} {peak_mib:>9}"
            print(columns.format(**result) + ("" if result["ok"] else "  FAILED"), flush=True)
        if not result["ok"]:
            print("\n".join(output.splitlines()[-40:]), file=sys.stderr, flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
