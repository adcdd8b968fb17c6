"""The benchmark's work as a plain Faust agent with a table: at least once, memory store, producer linger set.

BENCH_BOOTSTRAP=... BENCH_EVENTS=... python faust_peer.py worker --without-web -l info; prints one JSON line at the end.
"""

import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.environ["BENCH_ROOT"])

import faust

from tests.bench import workload

EXPECTED = int(os.environ["BENCH_EVENTS"])

app = faust.App(
    f"bench-faust-{os.getpid()}",
    broker=f"kafka://{os.environ['BENCH_BOOTSTRAP']}",
    store="memory://",
    topic_partitions=workload.PARTITIONS,
    datadir=tempfile.mkdtemp(),
    consumer_auto_offset_reset="earliest",
    stream_buffer_maxsize=16_384,
    producer_linger=0.05,
)
events_topic = app.topic(*(name for name, _ in workload.TOPICS.values()), key_serializer="raw", value_serializer="json")
signals_topic = app.topic("bench.signals", key_serializer="raw", value_serializer="json")
scores = app.Table("scores", partitions=workload.PARTITIONS, key_type=str)
counted = {"events": 0, "signals": 0, "began": 0.0}


@app.agent(events_topic)
async def score(stream):
    async for event in stream.events():
        counted["began"] = counted["began"] or time.perf_counter()
        lead = event.key.decode()
        state = scores.get(lead) or workload.fresh()
        if workload.apply(state, event.value):
            counted["signals"] += 1
            await signals_topic.send(key=event.key, value={"lead": lead, "score": state[0]})
        scores[lead] = state
        counted["events"] += 1
        if counted["events"] == EXPECTED:
            seconds = time.perf_counter() - counted["began"]
            result = {"events": EXPECTED, "seconds": round(seconds, 3), "signals": counted["signals"]}
            print(json.dumps(result), file=sys.__stdout__, flush=True)  # Faust makes log lines of what goes to sys.stdout
            os._exit(0)


if __name__ == "__main__":
    app.main()
