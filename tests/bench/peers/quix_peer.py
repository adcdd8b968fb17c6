"""The benchmark's work on Quix Streams: a stateful function, RocksDB with changelog topics, at least once.

BENCH_BOOTSTRAP=... BENCH_EVENTS=... python quix_peer.py; prints one JSON line at the end.
"""

import functools
import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.environ["BENCH_ROOT"])

from quixstreams import Application

from tests.bench import workload

EXPECTED = int(os.environ["BENCH_EVENTS"])

app = Application(
    broker_address=os.environ["BENCH_BOOTSTRAP"],
    consumer_group=f"bench-quix-{os.getpid()}",
    auto_offset_reset="earliest",
    state_dir=tempfile.mkdtemp(),
    loglevel="WARNING",
    commit_interval=1.0,
    commit_every=5_000,
    producer_extra_config={"linger.ms": 20},
)
counted = {"events": 0, "signals": 0, "began": 0.0}


def score(event, state):
    counted["began"] = counted["began"] or time.perf_counter()
    held = state.get("score") or workload.fresh()
    signal = workload.apply(held, event)
    state.set("score", held)
    counted["events"] += 1
    counted["signals"] += signal
    if counted["events"] == EXPECTED:
        seconds = time.perf_counter() - counted["began"]
        print(json.dumps({"events": EXPECTED, "seconds": round(seconds, 3), "signals": counted["signals"]}), flush=True)
        app.stop()
    return {"lead": event["lead_id"], "score": held[0]} if signal else None


names = [name for name, _ in workload.TOPICS.values()]
frames = [app.dataframe(app.topic(name, value_deserializer="json", key_deserializer="str")) for name in names]
stream = functools.reduce(lambda one, other: one.concat(other), frames)
stream = stream.apply(score, stateful=True).filter(lambda signal: signal is not None)
stream.to_topic(app.topic("bench.signals", value_serializer="json"))

if __name__ == "__main__":
    app.run()
