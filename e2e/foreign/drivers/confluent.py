"""Drives confluent-kafka (librdkafka) for the client suite: one JSON request a line in, one answer a line out."""
import base64
import json
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

WAIT = 50


def raw(text):
    return None if text is None else base64.b64decode(text)


def text(value):
    return None if value is None else base64.b64encode(value).decode()


def produce(r):
    failed = []
    p = Producer({"bootstrap.servers": r["addr"], "enable.idempotence": True, "compression.type": r["codec"],
                  "message.max.bytes": 2_000_000, "linger.ms": 5})
    for rec in r["records"]:
        p.produce(r["topic"], raw(rec["value"]), raw(rec["key"]), rec["partition"], timestamp=rec["ts"],
                  headers=[(h["key"], raw(h["value"])) for h in rec["headers"]],
                  on_delivery=lambda err, _: failed.append(err) if err else None)
        p.poll(0)
    if p.flush(WAIT):
        failed.append("records are left unsent")
    if failed:
        raise RuntimeError(str(failed[0]))
    return {}


def each(r):
    """One producer sends one record after the other; in transactions of their own if asked to."""
    conf = {"bootstrap.servers": r["addr"], "enable.idempotence": True, "compression.type": r["codec"], "linger.ms": 0}
    if r.get("group"):
        conf["transactional.id"] = r["group"]
    p = Producer(conf)
    if r.get("group"):
        p.init_transactions(WAIT)
    results = []
    for rec in r["records"]:
        said = []
        if r.get("group"):
            p.begin_transaction()
        p.produce(r["topic"], raw(rec["value"]), raw(rec["key"]), rec["partition"],
                  headers=[(h["key"], raw(h["value"])) for h in rec["headers"]], on_delivery=lambda err, _: said.append(err))
        p.flush(WAIT)
        results.append(f"{said[0].name()} {said[0].code()} {said[0].str()}" if said[0] else "")
        if r.get("group"):
            p.abort_transaction(WAIT) if said[0] else p.commit_transaction(WAIT)
    return {"results": results}


def collect(c, n):
    out = []
    while len(out) < n:
        m = c.poll(WAIT)
        if m is None:
            raise RuntimeError(f"{len(out)} of {n} records came")
        if m.error():
            raise KafkaException(m.error())
        out.append({"partition": m.partition(), "offset": m.offset(), "ts": m.timestamp()[1], "key": text(m.key()),
                    "value": text(m.value()),
                    "headers": [{"key": k, "value": text(v)} for k, v in m.headers() or []]})
    return out


def consumer(r, group, **more):
    return Consumer({"bootstrap.servers": r["addr"], "group.id": group, "enable.auto.commit": False,
                     "auto.offset.reset": "earliest", **more})


def consume(r):
    c = consumer(r, "unused")
    c.assign([TopicPartition(r["topic"], r["partition"], r["from"])])
    try:
        return {"records": collect(c, r["n"])}
    finally:
        c.close()


def group(r):
    c = consumer(r, r["group"])
    c.subscribe([r["topic"]])
    try:
        out = collect(c, r["n"])
        last = {}
        for rec in out:
            last[rec["partition"]] = rec["offset"] + 1
        c.commit(offsets=[TopicPartition(r["topic"], p, o) for p, o in last.items()], asynchronous=False)
        return {"records": out}
    finally:
        c.close()


def offset_at(r):
    c = consumer(r, "unused")
    try:
        return {"offset": c.offsets_for_times([TopicPartition(r["topic"], 0, r["from"])], timeout=WAIT)[0].offset}
    finally:
        c.close()


def admin(r):
    return AdminClient({"bootstrap.servers": r["addr"]})


def create(r):
    a = admin(r)  # must outlive the result
    a.create_topics([NewTopic(r["topic"], num_partitions=r["partitions"])])[r["topic"]].result(WAIT)
    return {}


def delete(r):
    a = admin(r)
    a.delete_topics([r["topic"]])[r["topic"]].result(WAIT)
    return {}


def topics(r):
    a = admin(r)
    return {"topics": {t.topic: len(t.partitions) for t in a.list_topics(timeout=WAIT).topics.values()}}


ops = {"produce": produce, "each": each, "consume": consume, "group": group, "offset_at": offset_at, "create": create,
       "delete": delete, "topics": topics}
for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = ops[request["op"]](request)
    except Exception as e:  # every failure is an answer
        answer = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer), flush=True)
