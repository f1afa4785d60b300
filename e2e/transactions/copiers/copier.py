"""Copies a topic to another with confluent-kafka (librdkafka), each record exactly once: read, write and commit in one
transaction. Every third transaction is aborted first. Arguments: servers, transactional id, group, from, to. It says
"committed N" for each transaction of N records, and ends when its input does."""
import os
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

addr, txn_id, group, source, target = sys.argv[1:]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()


def say(text):
    print(text, flush=True)


def consumer():
    c = Consumer({"bootstrap.servers": addr, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest",
                  "isolation.level": "read_committed", "session.timeout.ms": 6000, "heartbeat.interval.ms": 500})
    c.subscribe([source])
    return c


def producer():
    p = Producer({"bootstrap.servers": addr, "transactional.id": txn_id, "linger.ms": 0, "transaction.timeout.ms": 30000})
    while True:
        try:
            p.init_transactions(10)
            return p
        except KafkaException as e:
            say(f"init: {e}")
            if not e.args[0].retriable():
                raise


def retried(call):
    """A retriable failure is asked again, as librdkafka wants it."""
    while True:
        try:
            return call()
        except KafkaException as e:
            if not e.args[0].retriable() or e.args[0].txn_requires_abort():
                raise
            say(f"again: {e}")


def rewind(c):
    """Goes back to what is committed."""
    assigned = c.assignment()
    if assigned:
        for p in c.committed(assigned, 30):
            c.seek(TopicPartition(p.topic, p.partition, max(p.offset, 0)))


def step(c, p, abort):
    batch = [m for m in c.consume(20, 0.5) if not m.error()]
    if not batch:
        return 0
    p.begin_transaction()
    if abort:
        p.produce(target, b"aborted", partition=0)
        retried(lambda: p.flush(10))
        retried(lambda: p.abort_transaction(10))
        rewind(c)
        return 0
    for m in batch:
        p.produce(target, m.value(), partition=m.partition())
    retried(lambda: p.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata(), 10))
    retried(lambda: p.commit_transaction(10))
    say(f"committed {len(batch)}")
    return len(batch)


# librdkafka can wait forever for the coordinator of a group that went away, whatever timeout it was given: whoever started
# this starts it again.
alive = [time.monotonic()]


def watch():
    while time.monotonic() - alive[0] < 15:
        time.sleep(0.5)
    say("nothing moves for 15 s")
    os._exit(3)


threading.Thread(target=watch, daemon=True).start()
c, p, n = consumer(), producer(), 0
while not ended.is_set():
    alive[0] = time.monotonic()
    try:
        if step(c, p, n % 3 == 2) or n % 3 == 2:
            n += 1
    except KafkaException as e:
        say(f"failed: {e}")
        error = e.args[0]
        try:
            if error.fatal():
                raise e
            retried(lambda: p.abort_transaction(10))
        except KafkaException as again:
            say(f"anew: {again}")
            p = producer()
        c.close()
        c = consumer()
c.close()
