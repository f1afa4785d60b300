// Writes and reads with @confluentinc/schemaregistry and with @kafkajs/confluent-schema-registry over kafkajs.
// Arguments: node_modules library bootstrap registry commands, each one word:
//   write/FORMAT/TOPIC/NAME/MODE   one person; the mode is empty or latest
//   read/FORMAT/TOPIC/COUNT        prints the people as a JSON list
'use strict'
const path = require('path')
const fs = require('fs')
const [modules, library, bootstrap, registry, ...commands] = process.argv.slice(2)
const load = require('module').createRequire(path.join(modules, 'driver.js'))
const { Kafka, logLevel } = load('kafkajs')
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING })

const AVRO = {
  type: 'record', name: 'Person', namespace: 'e2e',
  fields: [{ name: 'name', type: 'string' }, { name: 'age', type: 'int', default: 0 },
    { name: 'city', type: ['null', 'string'], default: null }]
}
const JSON_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#', title: 'Person', type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer' } }, required: ['name'], additionalProperties: false
}

// The descriptors of person.proto, written by protoc into a file.
function descriptors () {
  const own = require('module').createRequire(path.join(modules, '@confluentinc', 'schemaregistry', 'driver.js'))
  const { fromBinary, createFileRegistry, createMutableRegistry, create } = own('@bufbuild/protobuf')
  const { FileDescriptorSetSchema } = own('@bufbuild/protobuf/wkt')
  const files = createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(process.env.DESCRIPTORS)))
  return { mutable: createMutableRegistry(...files.files), desc: files.getMessage('e2e.Person'), create }
}

async function confluent (command, format, topic, rest) {
  const sr = load('@confluentinc/schemaregistry')
  const client = new sr.SchemaRegistryClient({ baseURLs: [registry], isForward: false })
  const latest = rest[1] === 'latest'
  const conf = { autoRegisterSchemas: false, useLatestVersion: true }
  if (command === 'write') {
    const name = rest[0]
    let value = { name, age: 36 }
    let serializer
    if (format === 'avro') {
      if (!latest) await client.register(topic + '-value', { schemaType: 'AVRO', schema: JSON.stringify(AVRO) })
      serializer = new sr.AvroSerializer(client, sr.SerdeType.VALUE, conf)
      value = { name, age: 36, city: null }
    } else if (format === 'json') {
      if (!latest) await client.register(topic + '-value', { schemaType: 'JSON', schema: JSON.stringify(JSON_SCHEMA) })
      serializer = new sr.JsonSerializer(client, sr.SerdeType.VALUE, conf)
    } else {
      const d = descriptors()
      serializer = new sr.ProtobufSerializer(client, sr.SerdeType.VALUE, latest ? { ...conf, registry: d.mutable } : { autoRegisterSchemas: true, registry: d.mutable })
      value = d.create(d.desc, { name, age: 36, addr: { city: 'Kiel' }, counts: { a: 1n } })
    }
    return serializer.serialize(topic, value)
  }
  const make = { avro: sr.AvroDeserializer, json: sr.JsonDeserializer, proto: sr.ProtobufDeserializer }[format]
  const deserializer = new make(client, sr.SerdeType.VALUE, {})
  return (value, headers) => deserializer.deserialize(topic, value, headers)
}

async function kafkajs (command, format, topic, rest) {
  const { SchemaRegistry, SchemaType } = load('@kafkajs/confluent-schema-registry')
  const client = new SchemaRegistry({ host: registry })
  if (command === 'read') return value => client.decode(value)
  const value = { name: rest[0], age: 36 }
  const subject = topic + '-value'
  if (format === 'proto') {
    const schema = 'syntax = "proto3"; package e2e; message Person { string name = 1; int32 age = 2; }'
    const { id } = await client.register({ type: SchemaType.PROTOBUF, schema }, { subject })
    return client.encode(id, value)
  }
  if (format === 'avro') {
    const { id } = await client.register({ type: SchemaType.AVRO, schema: JSON.stringify(AVRO) }, { subject })
    return client.encode(id, { ...value, city: null })
  }
  const { id } = await client.register({ type: SchemaType.JSON, schema: JSON.stringify(JSON_SCHEMA) }, { subject })
  return client.encode(id, value)
}

async function run (command, format, topic, ...rest) {
  const made = await (library === 'kafkajs' ? kafkajs : confluent)(command, format, topic, rest)
  if (command === 'write') {
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic, messages: [{ value: made }] })
    await producer.disconnect()
    return
  }
  const consumer = kafka.consumer({ groupId: library + '-' + topic })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const people = []
  await new Promise((resolve, reject) => {
    consumer.run({
      eachMessage: async ({ message }) => {
        try {
          people.push((await made(message.value, message.headers)).name)
          if (people.length === Number(rest[0])) resolve()
        } catch (e) { reject(e) }
      }
    }).catch(reject)
  })
  await consumer.disconnect()
  console.log(JSON.stringify(people))
}

async function main () {
  for (const each of commands) await run(...each.split('/'))
}

main().then(() => process.exit(0), e => { console.error(e); process.exit(1) })
