"""Where Faust is taught not to lose events. All that is worked around, and why, is in this module and nowhere else.

Stock Faust 0.15 loses and repeats events around crashes and rebalances. That facts are repeated does no harm (see
`mqlstream.app.insights.facts`), so what is left to ensure is that none is lost. These are the parts that are replaced:

- **Commits** (`ExactConsumer.force_commit`). Stock: the offset goes ahead when the changelog has not been acknowledged
  within a tenth of a second, and events that were skipped count as done. Here an offset is committed when the broker has
  acknowledged every changelog record sent so far, and counts as done only when the agent said so, in the order of reading.
- **Fetching** (`ExactConsumer.getmany`). Stock: the set of partitions changes while it is fetched from, and an emptied one
  means all. Here it is fixed, and never empty. Each record is noted before it is handed on; when the agent meets another
  one than the next noted, the App crashes instead of passing over what is missing.
- **Recovery** (`Rebuild`). Stock: the source is resumed before it is sought, then queues are cleared; rows of partitions that are gone
  stay in memory; highwaters are off by one. Here the fetching loop is parked first, the tables are emptied and read again from the
  changelog, to its end, and the source is sought to the group's offsets; only then fetching goes on.
- **The end** (`_Thread`). Stock: whoever gives up waiting for the consumer's thread, or stops it while it starts, leaves it running, and
  it fails on the closed main loop, with a traceback. Here it is told again, waited for, and says nothing of its own. Nor is the
  last commit waited for as long as the group is forming.
- **Clients**. Consumer and producer get our own connection settings (TLS as everywhere else), read committed records and
  write idempotently. Changelog partitions, which the group assigns but nobody fetches, are paused in the client too, or
  their records would sit in its buffers.

After anything unexpected the App crashes, and `mqlstream.app.insights.role` begins again with a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from mqlstream.app.framework import LOGGER, QuietApp
from mqlstream.app.insights.progress import Progress
from mqlstream.engine.kafka_source import close_consumer

# isort: split
import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import IllegalStateError
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, FutureMessage
from mode import Service
from mode.threads import WorkerThread

SESSION_MS = 15_000  # a worker that is silent for longer loses its partitions
_LAST_COMMIT_S = 3.0
_ANSWER_S = 30.0  # for what a healthy broker does within milliseconds


class ExactTable(faust.Table[str, bytes]):
    """A table in memory that knows which of its changelog records the broker has not acknowledged yet."""

    logger = LOGGER

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._sent: list[FutureMessage] = []
        super().__init__(*args, **kwargs)

    def send_changelog(self, *args: Any, **kwargs: Any) -> FutureMessage:
        sent = super().send_changelog(*args, **kwargs)
        self._sent.append(sent)
        return sent

    async def acknowledged(self) -> None:
        """Wait until all that was sent is in the changelog. Raises for a record that was refused, then and ever after."""
        sent = list(self._sent)
        if sent:
            _, late = await asyncio.wait(sent, timeout=_ANSWER_S)
            if late:
                raise TimeoutError(f"{len(late)} changelog records not acknowledged within {_ANSWER_S:g} s")
            for each in sent:
                each.result()
            del self._sent[: len(sent)]


class _Worker(WorkerThread):
    def __init__(self, service: Any, **kwargs: Any) -> None:
        super().__init__(service, **kwargs)
        self.daemon = True  # a broker that does not answer keeps no process from ending


class _Thread(driver.AIOKafkaConsumerThread):
    """The consumer's client, in a thread of its own."""

    logger = LOGGER
    Worker = _Worker

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        app = _app(self.app)
        return AIOKafkaConsumer(
            **app.kafka,
            group_id=app.conf.id,
            partition_assignment_strategy=[app.assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 5,
            max_poll_interval_ms=2**31 - 1,
            max_poll_records=500,
            fetch_max_wait_ms=100,
        )

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Faust prints a traceback; but the App crashes too, and that is told in one line."""

    def _start_thread(self) -> None:
        # What the client leaves behind, such as a commit that fails after nobody waits for it, is no news.
        self.thread_loop.set_exception_handler(lambda _, context: LOGGER.debug("%s", context.get("message")))
        with suppress(Exception):  # the App has crashed with it
            super()._start_thread()

    def set_shutdown(self) -> None:
        with suppress(RuntimeError):  # the main loop is closed: nobody waits any more
            super().set_shutdown()

    async def gone(self) -> None:
        """Wait until the thread has ended. One that was cancelled while it started has not been told to, so it is now."""
        while self._thread is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # its loop is closed, it ends
                self._stopped_set()
            await asyncio.sleep(0.05)

    async def on_thread_stop(self) -> None:
        await super(driver.AIOKafkaConsumerThread, self).on_thread_stop()
        if self._consumer is not None:
            await close_consumer(self._consumer)  # in bounded time, also while the group waits for others to join

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        still = self.assignment()
        ours = {partition: offset for partition, offset in offsets.items() if partition in still}
        return bool(ours) and await super()._commit(ours)  # the client takes no empty commit

    async def begin(self, sources: Collection[TP], changelogs: Collection[TP]) -> None:
        """Seek the sources to the group's offsets, or to their beginning; let the changelogs be."""
        await self.call_thread(self._begin, sources, changelogs)

    async def _begin(self, sources: Collection[TP], changelogs: Collection[TP]) -> None:
        client = self._ensure_consumer()
        client.pause(*driver.ensure_aiokafka_TPset(changelogs))
        for source in driver.ensure_aiokafka_TPset(sources):
            offset = await client.committed(source)
            if offset is None:
                await client.seek_to_beginning(source)
            else:
                client.seek(source, offset)


class ExactConsumer(driver.Consumer):
    """Reads each record once between two rebalances, and commits only what is safe in the changelog."""

    logger = LOGGER

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.progress = Progress()
        self.parked = asyncio.Event()  # the fetching loop waits, and holds no record

    def _new_consumer_thread(self) -> _Thread:
        thread = _Thread(self, loop=self.loop, beacon=self.beacon)
        _app(self.app).threads.append(thread)
        return thread

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        if not self.flow_active:
            self.parked.set()
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # mode's event and asyncio's are alike
            return
        generation = self.app.consumer_generation_id
        wanted = {partition for partition in self._get_active_partitions() if not self._is_changelog_tp(partition)}
        if not wanted:
            await self.sleep(0.1)
            return
        records = await self._getmany(active_partitions=wanted, timeout=timeout)
        for partition, record in self.scheduler.iterate(records):
            message = self._to_message(partition, record)
            if not self.flow_active or self.should_stop or message.generation_id != generation:
                return  # after a rebalance these are read again
            self.progress.read(partition, message.offset)
            yield partition, message

    async def resume(self, sources: Collection[TP], changelogs: Collection[TP], still: Callable[[], bool]) -> bool:
        """From a parked loop to a running one, at the group's offsets. False, and parked as before, unless ``still`` holds."""
        thread = self._thread
        assert isinstance(thread, _Thread)
        await asyncio.wait_for(thread.begin(sources, changelogs), _ANSWER_S)
        if not still():
            return False
        self.progress.begin()
        for source in sources:
            self._read_offset[source] = None
        self.app.flow_control.clear()
        self.app.flow_control.resume()
        self.resume_partitions(sources)
        self.parked.clear()
        self.resume_flow()
        return True

    def ack(self, message: Any) -> bool:
        """What Faust calls acknowledged says nothing here, see `Progress`."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Transaction markers take offsets: gaps are all over, and mean nothing."""

    async def commit_and_end_transactions(self) -> None:
        with suppress(TimeoutError):  # while the group is forming: what is not committed is read again by the next owner
            async with asyncio.timeout(_LAST_COMMIT_S):
                await super().commit_and_end_transactions()

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        app = _app(self.app)
        generation, offsets = app.consumer_generation_id, self.progress.uncommitted()
        if not offsets:
            return False
        try:
            await app.table.acknowledged()
        except Exception as error:
            await self.crash(error)
            return False
        if generation != app.consumer_generation_id or not await self._commit(offsets):
            return False
        self.progress.committed.update(offsets)
        return True


class ExactProducer(driver.Producer):
    logger = LOGGER

    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        assert transactional_id is None
        return AIOKafkaProducer(**_app(self.app).kafka, enable_idempotence=True, acks="all", linger_ms=20)


class _Transport(driver.Transport):
    Consumer = ExactConsumer
    Producer = ExactProducer


class Rebuild(Service):
    """After every rebalance: empties the table, reads it again from the changelog, and lets the stream go on. In place of
    Faust's `Recovery`."""

    logger = LOGGER

    def __init__(self, app: ExactApp, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._wanted = asyncio.Event()
        self.completed = asyncio.Event()

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._app.owned = None

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0) -> None:
        self._app.owned = None
        self._wanted.set()

    @Service.task
    async def _work(self) -> None:
        while not (await self.wait(self._wanted)).stopped:  # type: ignore[arg-type]  # mode's event and asyncio's are alike
            self._wanted.clear()
            rebuilding = asyncio.create_task(self._rebuild())
            again = asyncio.create_task(self._wanted.wait())
            try:
                await asyncio.wait({rebuilding, again}, return_when=asyncio.FIRST_COMPLETED)
                if rebuilding.done():
                    rebuilding.result()
            finally:
                again.cancel()
                rebuilding.cancel()
                await asyncio.wait({rebuilding, again})

    async def _rebuild(self) -> None:
        app, consumer = self._app, self._app.exact_consumer
        rebalances = app.rebalancing_count
        consumer.stop_flow()
        await app._fetcher.maybe_start()
        await consumer.parked.wait()
        assignment = consumer.assignment()
        changelogs = {partition for partition in assignment if partition.topic == app.table.changelog_topic.get_topic_name()}
        app.forget()
        async with asyncio.TaskGroup() as restoring:
            for changelog in changelogs:
                restoring.create_task(app.restore(changelog))
        try:
            sources = assignment - changelogs
            if not await consumer.resume(sources, changelogs, lambda: app.rebalancing_count == rebalances):
                return
        except IllegalStateError:
            if app.rebalancing_count == rebalances:
                raise
            return  # shared out anew meanwhile, and that will be told
        assert isinstance(app.tables, ExactTables)
        app.tables.on_actives_ready()
        app.tables.on_standbys_ready()
        app.on_rebalance_end()
        app.owned = frozenset(partition.partition for partition in changelogs)
        self.completed.set()


class ExactTables(TableManager):
    logger = LOGGER

    async def on_start(self) -> None:
        await self._update_channels()  # Faust sleeps for a second before
        await self.recovery.start()

    @property
    def recovery(self) -> Any:
        if self._recovery is None:
            rebuild: Any = Rebuild(_app(self.app), beacon=self.beacon, loop=self.loop)
            self._recovery = rebuild
        return self._recovery


class ExactApp(QuietApp):
    """A Faust App with one table that misses no event. ``kafka`` are aiokafka's connection settings.

    ``owned`` are the partitions whose facts the table holds, complete; None while that is not known. ``threads`` are the consumers'.
    """

    table: ExactTable
    owned: frozenset[int] | None = None

    def __init__(self, app_id: str, kafka: Mapping[str, Any], **settings: Any) -> None:
        self.kafka = kafka
        self.threads: list[_Thread] = []
        super().__init__(
            app_id,
            TableManager=ExactTables,
            broker="kafka://",
            store="memory://",
            autodiscover=False,
            web_enabled=False,
            processing_guarantee="at_least_once",
            broker_commit_interval=1.0,
            stream_wait_empty=False,  # what waits in queues is read again
            table_standby_replicas=0,
            topic_allow_declare=False,
            topic_disable_leader=True,
            **settings,
        )

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return _Transport(self.conf.broker_producer, self)

    @property
    def exact_consumer(self) -> ExactConsumer:
        consumer = self.consumer
        assert isinstance(consumer, ExactConsumer)
        return consumer

    async def gone(self) -> None:
        """After `stop`: wait until nothing of it runs any more that would need the main loop."""
        for thread in self.threads:
            await thread.gone()

    async def has_crashed(self) -> None:
        """Wait until it has; `crash_reason` says why."""
        await self._crashed.wait()

    def forget(self) -> None:
        """Empty the table in memory."""
        raise NotImplementedError

    async def restore(self, changelog: TP) -> None:
        """Read a changelog partition into the table in memory, from its beginning to its end."""
        raise NotImplementedError


def _app(app: Any) -> ExactApp:
    assert isinstance(app, ExactApp)
    return app
