"""A consumer in a process of its own: prints "partition offset value", commits, leaves on SIGTERM."""
import signal
import sys

from confluent_kafka import Consumer, KafkaException

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
client, server, group, topic = sys.argv[1:]
conf = {"bootstrap.servers": server, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "fetch.wait.max.ms": 500, "reconnect.backoff.max.ms": 1000}
if client == "confluent-848":
    conf["group.protocol"] = "consumer"
else:
    conf |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
consumer = Consumer(conf)
consumer.subscribe([topic])
while not stopping:
    got = [m for m in consumer.consume(100, 0.5) if not m.error()]
    for m in got:
        print(m.partition(), m.offset(), m.value().decode())
    sys.stdout.flush()
    if got:
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as e:
            print(client, e, file=sys.stderr)  # another has the partitions now
consumer.close()
