"""Settings: what can be set, where values come from, and what they mean to a Kafka client.

    settings = load(Path("mqlstream.yaml"), os.environ)
    consumer = AIOKafkaConsumer(**kafka_kwargs(settings))

A leaf: it imports nothing of the project but the errors.
"""

from mqlstream.config.kafka import kafka_kwargs
from mqlstream.config.load import load
from mqlstream.config.settings import HandoffSettings, IngestSettings, KafkaSettings, MachineSettings, Settings

__all__ = ["HandoffSettings", "IngestSettings", "KafkaSettings", "MachineSettings", "Settings", "kafka_kwargs", "load"]
