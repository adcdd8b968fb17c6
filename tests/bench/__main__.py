"""`make bench`: the SCORE stage beside Kafka Streams on the same events, and the time from an event to its MQL.

Before them, the cost of reading each source's payloads, which needs no broker. Everything else runs on this machine, broker included,
one after the other: ours, theirs, ours, theirs; medians are compared. The numbers are this machine's at this moment. Give it nothing else
to do meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mqlstream.program import NATIVE_CORE
from tests.bench import adapters, core, latency, score_stage, topics, workload
from tests.kafka.broker import KafkaServer

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).with_name("peers")
CACHE = ROOT / ".cache" / "bench"
_LONGEST_S = 600

PARTS = ("core", "adapters", "throughput", "latency")

Run = dict[str, Any]


def main() -> None:
    options = _options()
    if "core" in options.parts:
        core.show()
    if "adapters" in options.parts:
        adapters.show()
    if not {"throughput", "latency"} & set(options.parts):
        return
    with ExitStack() as stack:
        bootstrap = options.bootstrap or _broker(stack)
        python = f"Python {platform.python_version()}, {'native' if NATIVE_CORE else 'Python'} core"
        print(f"{platform.machine()}, {os.cpu_count()} cores shared with the broker, {python}", flush=True)
        if "throughput" in options.parts:
            throughput(bootstrap, options)
        if "latency" in options.parts:
            end_to_end(bootstrap, options)


def _broker(stack: ExitStack) -> str:
    """A broker of our own, until the stack is left."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mqlstream-bench-"))
    return stack.enter_context(KafkaServer(Path(folder))).bootstrap


def throughput(bootstrap: str, options: argparse.Namespace) -> None:
    """The systems by turns, on the same events; their medians and the ratio."""
    print(f"\nScore {options.events:,} events of {options.leads:,} leads, {workload.PARTITIONS} partitions", flush=True)
    topics.fill(bootstrap, options.events, options.leads)
    expected = workload.signals(options.events, options.leads)
    systems: dict[str, Callable[[int], Run]] = {
        "mqlstream, exactly once, 1 worker": lambda number: _ours(bootstrap, options.events, f"{number}-1", 1),
        "mqlstream, exactly once, 2 workers": lambda number: _ours(bootstrap, options.events, f"{number}-2", 2),
        "Kafka Streams, exactly_once_v2, 1 thread": lambda _: _streams(bootstrap, options.events),
    }
    rates: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(options.runs):
        for name, run in systems.items():
            rates[name].append(_report(name, run(number), expected))
    one, two, theirs = (statistics.median(rates[name]) for name in systems)
    print(f"\nmedians of {options.runs}, events/s: mqlstream {one:,.0f}, two workers {two:,.0f}, Kafka Streams {theirs:,.0f}")
    print(f"ratio to Kafka Streams: {one / theirs:.2f}, two workers {two / theirs:.2f}")
    if options.peers:
        print("\nThe same work elsewhere, once each, at least once:", flush=True)
        _report(
            "Faust, agent and table",
            _python(sys.executable, "faust_peer.py", bootstrap, options.events, "worker", "--without-web"),
            expected,
        )
        _report("Quix Streams, RocksDB", _python(_quix(), "quix_peer.py", bootstrap, options.events), expected)


def end_to_end(bootstrap: str, options: argparse.Namespace) -> None:
    """A worker at a steady rate; how long a new lead's demo request takes to a subscriber."""
    print(f"\nFrom a demo request appended to its MQL received, at {options.rate:,} events/s for {options.seconds:.0f} s", flush=True)
    found = asyncio.run(latency.measure(bootstrap, options.rate, options.seconds, warm_up_s=10))
    print(f"{found.received:,} of {found.expected:,} MQLs at {found.rate:,.0f} events/s: ", end="")
    print(f"p50 {found.p50:.0f} ms, p99 {found.p99:.0f} ms, highest {found.highest:.0f} ms", flush=True)


def _report(name: str, run: Run, expected: int) -> float:
    rate = run["events"] / run["seconds"]
    more = f", {run['task_failures']} task failures" if run.get("task_failures") else ""
    print(
        f"  {name:42} {rate:>9,.0f} events/s   {run['cpu_s']:5.1f} s of CPU   {run['signals']:,} of {expected:,} signals{more}", flush=True
    )
    return float(rate)


def _ours(bootstrap: str, events: int, run: str, workers: int) -> Run:
    prefix = f"bench-run-{os.getpid()}-{run}."
    names = topics.create_for_run(bootstrap, prefix)
    try:
        return score_stage.measure(bootstrap, prefix, events, workers)
    finally:
        topics.delete(bootstrap, names)
        time.sleep(1)  # for the broker to become quiet


def _streams(bootstrap: str, events: int) -> Run:
    libraries = CACHE / "streams"
    if not libraries.exists():
        copy = ["mvn", "-q", "-B", "-f", str(PEERS / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={libraries}"]
        subprocess.run(copy, check=True, stdin=subprocess.DEVNULL)
    java = ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{libraries}/*"]
    return _last_line([*java, str(PEERS / "StreamsPeer.java"), bootstrap, str(events), "1"])


def _python(python: str, script: str, bootstrap: str, events: int, *arguments: str) -> Run:
    settings = {"BENCH_ROOT": str(ROOT), "BENCH_BOOTSTRAP": bootstrap, "BENCH_EVENTS": str(events)}
    return _last_line([python, str(PEERS / script), *arguments], settings)


def _quix() -> str:
    """A Python with Quix Streams, which wants other versions of our libraries than we do."""
    folder = CACHE / "quix"
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-input", "quixstreams>=3,<4"], check=True)
        (folder / ".ready").touch()
    return str(python)


def _last_line(command: list[str], settings: dict[str, str] | None = None) -> Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | (settings or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_LONGEST_S,
        text=True,
        check=False,
    )
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if not lines:
        sys.exit(f"{' '.join(command)} ended with exit code {run.returncode} and no result:\n{run.stderr[-2000:]}")
    time.sleep(1)  # for the broker to become quiet
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result: Run = json.loads(lines[-1])
    return result | {"cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", help="a broker that runs already; default: one of its own, from Maven Central")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--runs", type=int, default=3, help="of each system")
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--leads", type=int, default=20_000)
    parser.add_argument("--peers", action="store_true", help="Faust and Quix Streams, too")
    parser.add_argument("--rate", type=int, default=2_000, help="events a second, for the latency")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long, for the latency")
    return parser.parse_args()


if __name__ == "__main__":
    main()
