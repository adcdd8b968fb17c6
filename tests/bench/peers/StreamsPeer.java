// The benchmark's work (tests/bench/workload.py) on Kafka Streams: one processor over four topics, a persistent store
// (RocksDB) with its changelog, exactly_once_v2. Prints one JSON line when all events are processed.
//   java -cp 'lib/*' StreamsPeer.java BOOTSTRAP EVENTS THREADS

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

public class StreamsPeer {
  static final double HALF_LIFE_MS = 14 * 86_400_000.0;
  static final double THRESHOLD = 100;
  static final ObjectMapper JSON = new ObjectMapper();
  static final AtomicLong events = new AtomicLong();
  static final AtomicLong signals = new AtomicLong();
  static final AtomicLong began = new AtomicLong();
  static final CountDownLatch done = new CountDownLatch(1);

  static double points(JsonNode event) {
    switch (event.get("kind").asText()) {
      case "web_visit":
        String page = event.get("url").asText().substring("https://example.com".length());
        double worth = page.equals("/pricing") ? 10 : page.equals("/demo") ? 8 : page.equals("/careers") ? -5 : 1;
        return worth + (event.get("duration_seconds").asInt() > 120 ? 2 : 0);
      case "form_fill":
        return event.get("form").asText().equals("demo-request") ? 30 : 5;
      case "email_click":
        return event.get("action").asText().equals("click") ? 3 : 0.5;
      default:
        return event.get("attended_seconds").asInt() > 1200 ? 15 : 3;
    }
  }

  /** Per lead: points, the time they are as of, whether the signal was given, number of events. */
  static class Score implements Processor<String, byte[], String, byte[]> {
    final long expected;
    ProcessorContext<String, byte[]> context;
    KeyValueStore<String, byte[]> store;

    Score(long expected) {
      this.expected = expected;
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      this.store = context.getStateStore("scores");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      began.compareAndSet(0, System.nanoTime());
      JsonNode event;
      try {
        event = JSON.readTree(record.value());
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
      byte[] packed = store.get(record.key());
      double score = 0;
      long asOf = 0;
      boolean signalled = false;
      long count = 0;
      if (packed != null) {
        ByteBuffer state = ByteBuffer.wrap(packed);
        score = state.getDouble();
        asOf = state.getLong();
        signalled = state.get() == 1;
        count = state.getLong();
      }
      long time = event.get("time").asLong();
      double worth = points(event);
      if (time >= asOf) {
        score *= Math.pow(0.5, (time - asOf) / HALF_LIFE_MS);
        asOf = time;
      } else {
        worth *= Math.pow(0.5, (asOf - time) / HALF_LIFE_MS);
      }
      score += worth;
      if (score >= THRESHOLD && !signalled) {
        signalled = true;
        signals.incrementAndGet();
        String text = String.format(Locale.ROOT, "{\"lead\":\"%s\",\"score\":%f}", record.key(), score);
        context.forward(record.withValue(text.getBytes(StandardCharsets.UTF_8)));
      }
      ByteBuffer state = ByteBuffer.allocate(25).putDouble(score).putLong(asOf).put((byte) (signalled ? 1 : 0)).putLong(count + 1);
      store.put(record.key(), state.array());
      if (events.incrementAndGet() == expected) {
        done.countDown();
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    long expected = Long.parseLong(arguments[1]);
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-streams-" + ProcessHandle.current().pid());
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[2]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("bench-streams").toString());
    settings.put("auto.offset.reset", "earliest");
    settings.put("max.poll.records", 5000);
    settings.put("producer.linger.ms", 20);
    Topology topology = new Topology();
    topology.addSource("in", new StringDeserializer(), new ByteArrayDeserializer(),
        "bench.web-visits", "bench.form-fills", "bench.email-clicks", "bench.webinar-attendance");
    topology.addProcessor("score", () -> new Score(expected), "in");
    // With its cache, as it comes: several writes of a key within a commit interval become one changelog record.
    topology.addStateStore(
        Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("scores"), Serdes.String(), Serdes.ByteArray()).withCachingEnabled(),
        "score");
    topology.addSink("out", "bench.signals", new StringSerializer(), new ByteArraySerializer(), "score");
    KafkaStreams streams = new KafkaStreams(topology, settings);
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      Runtime.getRuntime().halt(1);
      return null;
    });
    streams.start();
    done.await();
    double seconds = (System.nanoTime() - began.get()) / 1e9;
    System.out.printf(Locale.ROOT, "{\"events\": %d, \"seconds\": %.3f, \"signals\": %d}%n", events.get(), seconds, signals.get());
    System.out.flush();
    // The last transaction ends in here; it is not part of the time above.
    streams.close(java.time.Duration.ofSeconds(20));
  }
}
