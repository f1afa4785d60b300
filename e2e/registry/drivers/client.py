"""Writes and reads with confluent-kafka's serializers. Arguments: bootstrap registry commands, each one word:

  write/FORMAT/TOPIC/NAME/MODE   one person; the mode is empty, latest, header or reference
  read/FORMAT/TOPIC/COUNT        prints the people as a JSON list
"""
import functools
import json
import os
import subprocess
import sys
import tempfile

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import (
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

here = os.path.dirname(os.path.abspath(__file__))
bootstrap, registry, *commands = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})

AVRO = json.dumps({
    "type": "record", "name": "Person", "namespace": "e2e",
    "fields": [{"name": "name", "type": "string"}, {"name": "age", "type": "int", "default": 0},
               {"name": "city", "type": ["null", "string"], "default": None}],
})
ADDR = json.dumps({"type": "record", "name": "Addr", "namespace": "e2e", "fields": [{"name": "city", "type": "string"}]})
LIVES = json.dumps({
    "type": "record", "name": "Lives", "namespace": "e2e",
    "fields": [{"name": "name", "type": "string"}, {"name": "addr", "type": "Addr"}],
})
JSON = json.dumps({
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Person", "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"],
    "additionalProperties": False,
})


@functools.cache
def generated():
    """The classes of person.proto, generated for this run."""
    out = tempfile.mkdtemp()
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I" + here, "--python_out=" + out, "person.proto",
                    "common/addr.proto"], check=True)
    sys.path.insert(0, out)
    import person_pb2
    from common import addr_pb2
    return person_pb2, addr_pb2


def serializer(form, mode, name):
    conf = {"auto.register.schemas": mode != "latest", "use.latest.version": mode == "latest"}
    if mode == "header":
        conf["schema.id.serializer"] = header_schema_id_serializer
    if form == "avro" and mode == "reference":
        client.register_schema("addr", Schema(ADDR, "AVRO"))
        schema = Schema(LIVES, "AVRO", [SchemaReference("e2e.Addr", "addr", 1)])
        return AvroSerializer(client, schema, conf=conf), {"name": name, "addr": {"city": "Kiel"}}
    if form == "avro":
        return AvroSerializer(client, AVRO, conf=conf), {"name": name, "age": 36, "city": None}
    if form == "json":
        return JSONSerializer(JSON, client, conf=conf), {"name": name, "age": 36}
    person_pb2, addr_pb2 = generated()
    person = person_pb2.Person(name=name, age=36, addr=addr_pb2.Addr(city="Kiel"), counts={"a": 1})
    return ProtobufSerializer(person_pb2.Person, client, conf), person


def write(form, topic, name, mode=""):
    make, value = serializer(form, mode, name)
    headers = []
    context = SerializationContext(topic, MessageField.VALUE, headers)
    body = make(value, context)
    failed = []
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, body, headers=context.headers or headers, on_delivery=lambda err, _: err and failed.append(err))
    producer.flush(30)
    if failed:
        raise SystemExit(str(failed))


def read(form, topic, count):
    if form == "avro":
        take = AvroDeserializer(client)
    elif form == "json":
        take = JSONDeserializer(None, schema_registry_client=client)
    else:
        take = ProtobufDeserializer(generated()[0].Person, {}, client)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "python-" + topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    people = []
    while len(people) < int(count):
        message = consumer.poll(30)
        if message is None or message.error():
            raise SystemExit("no record: %s" % (message and message.error()))
        value = take(message.value(), SerializationContext(topic, MessageField.VALUE, message.headers() or []))
        people.append(value["name"] if isinstance(value, dict) else value.name)
    consumer.close()
    print(json.dumps(people))


for each in commands:
    command, *rest = each.split("/")
    {"write": write, "read": read}[command](*rest)
