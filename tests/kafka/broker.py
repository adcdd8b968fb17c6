"""A real Apache Kafka broker for tests and benchmarks: one node, from Maven Central, gone with the process that started it.

    with KafkaServer(folder) as server:
        server.bootstrap    # 127.0.0.1:port

The jars are kept in `.cache/kafka`; data and log go to the folder.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from uuid import uuid4

_HERE = Path(__file__).parent
_LIB = _HERE.parents[1] / ".cache" / "kafka" / "lib"
_START_S = 90.0
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
num.partitions=4
auto.create.topics.enable=false
# Tests write records of any date.
log.retention.ms=-1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
# A dead worker's transaction is aborted soon after its timeout.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
"""


def missing() -> str:
    """What this machine lacks to run a broker, in a few words; empty when nothing."""
    lacking = [] if shutil.which("java") else ["java (17)"]
    if not _LIB.is_dir() and not shutil.which("mvn"):
        lacking.append("mvn")
    return " and ".join(lacking)


class KafkaServer:
    """Runs between entering and leaving the context; ``more`` are further properties, which win.

    Raises `RuntimeError` with the end of its log when it does not come up.
    """

    def __init__(self, folder: Path, more: str = "") -> None:
        self._folder = folder
        self._more = more
        self._port, self._controller = _free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port``"""
        return f"127.0.0.1:{self._port}"

    @property
    def data(self) -> Path:
        """Where the partitions' segment files are."""
        return self._folder / "data"

    def __enter__(self) -> KafkaServer:
        _fetch()
        properties = self._folder / "server.properties"
        text = _PROPERTIES.format(port=self._port, controller=self._controller, data=self.data)
        properties.write_text(text + self._more.format(port=self._port, controller=self._controller))
        cluster = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        # An id may begin with a dash.
        made = [*_java("kafka.tools.StorageTool"), "format", f"--cluster-id={cluster}", "-c", str(properties)]
        subprocess.run(made, check=True, capture_output=True)
        self._properties = properties
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, again after `kill`; returns when it serves."""
        with (self._folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen([*_java("kafka.Kafka"), str(self._properties)], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                end = (self._folder / "kafka.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Kafka did not come up on {self.bootstrap}:\n{end}")
            time.sleep(0.2)

    def kill(self) -> None:
        """Stop it at once. The data stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _serves(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1):
                pass
            return bool(AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=2).brokers)
        except (OSError, KafkaException):
            return False


def _java(main: str) -> list[str]:
    # It lives for minutes: with the second compiler it would spend them compiling, on a core that is measured or waited for.
    lean = ["-Xmx768m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    return ["java", *lean, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{_LIB}/*", main]


def _fetch() -> None:
    """The jars, once; several test runs may do this at the same time."""
    if _LIB.is_dir():
        return
    part = _LIB.with_name(f"lib-{os.getpid()}")
    command = ["mvn", "-q", "-B", "-f", str(_HERE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={part}"]
    subprocess.run(command, check=True)
    try:
        part.rename(_LIB)
    except OSError:
        shutil.rmtree(part)
        if not _LIB.is_dir():
            raise


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
