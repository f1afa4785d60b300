// Drives kafkajs for the client suite: one JSON request a line in, one answer a line out.
const path = require('path')
const readline = require('readline')
const { Kafka, CompressionTypes, logLevel } = require(path.join(process.argv[2], 'kafkajs'))

const kafka = r => new Kafka({ clientId: 'driver', brokers: [r.addr], logLevel: logLevel.NOTHING, retry: { retries: 8, initialRetryTime: 100 } })
const raw = text => (text === null || text === undefined ? null : Buffer.from(text, 'base64'))
const text = value => (value === null || value === undefined ? null : Buffer.from(value).toString('base64'))

async function using (thing, work) {
  await thing.connect()
  try { return await work(thing) } finally { await thing.disconnect() }
}

const admin = (r, work) => using(kafka(r).admin(), work)

function headersIn (list) {
  const out = {}
  for (const h of list) out[h.key] = h.key in out ? [].concat(out[h.key], raw(h.value)) : raw(h.value)
  return out
}

function headersOut (map) {
  const out = []
  for (const [key, value] of Object.entries(map || {})) for (const v of [].concat(value)) out.push({ key, value: text(v) })
  return out
}

async function collect (r, group, start, n) {
  const consumer = kafka(r).consumer({ groupId: group, maxBytesPerPartition: 4 << 20 })
  const records = []
  await consumer.connect()
  try {
    await consumer.subscribe({ topics: [r.topic], fromBeginning: true })
    const done = new Promise((resolve, reject) => {
      consumer.on(consumer.events.CRASH, e => reject(e.payload.error))
      consumer.run({
        autoCommit: false,
        eachMessage: async ({ partition, message: m }) => {
          if (records.length >= n || (start && (partition !== start.partition || BigInt(m.offset) < BigInt(start.offset)))) return
          records.push({ partition, offset: Number(m.offset), ts: Number(m.timestamp), key: text(m.key), value: text(m.value), headers: headersOut(m.headers) })
          if (records.length === n) resolve()
        }
      }).catch(reject)
      if (start) consumer.seek({ topic: r.topic, partition: start.partition, offset: String(start.offset) })
    })
    await done
    if (!start) {
      const next = {}
      for (const rec of records) next[rec.partition] = rec.offset + 1
      await consumer.commitOffsets(Object.entries(next).map(([p, o]) => ({ topic: r.topic, partition: Number(p), offset: String(o) })))
    }
    return { records }
  } finally {
    await consumer.disconnect()
  }
}

let unused = 0
const ops = {
  produce: r => using(kafka(r).producer({ idempotent: true, maxInFlightRequests: 1 }), async p => {
    const messages = r.records.map(m => ({ partition: m.partition, key: raw(m.key), value: raw(m.value), timestamp: String(m.ts), headers: headersIn(m.headers) }))
    await p.send({ topic: r.topic, acks: -1, messages, compression: r.codec === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None })
    return {}
  }),
  // One producer sends one record after the other.
  each: r => using(kafka(r).producer({ idempotent: true, maxInFlightRequests: 1 }), async p => {
    const results = []
    for (const m of r.records) {
      const message = { partition: m.partition, key: raw(m.key), value: raw(m.value), headers: headersIn(m.headers) }
      try {
        await p.send({ topic: r.topic, acks: -1, messages: [message], compression: r.codec === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None })
        results.push('')
      } catch (e) { results.push(`${e.type || e.name} ${e.code} ${e.message}`) }
    }
    return { results }
  }),
  consume: r => collect(r, `unused-${process.pid}-${unused++}`, { partition: r.partition, offset: r.from }, r.n),
  group: r => collect(r, r.group, null, r.n),
  offset_at: r => admin(r, async a => ({ offset: Number((await a.fetchTopicOffsetsByTimestamp(r.topic, r.from))[0].offset) })),
  create: r => admin(r, async a => {
    if (!await a.createTopics({ topics: [{ topic: r.topic, numPartitions: r.partitions }] })) throw new Error('the topic exists')
    return {}
  }),
  delete: r => admin(r, async a => { await a.deleteTopics({ topics: [r.topic] }); return {} }),
  topics: r => admin(r, async a => ({ topics: Object.fromEntries((await a.fetchTopicMetadata()).topics.map(t => [t.name, t.partitions.length])) }))
}

async function main () {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const r = JSON.parse(line)
    let answer
    try { answer = await ops[r.op](r) } catch (e) { answer = { error: String(e && e.message || e) } }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
  process.exit(0)
}
main()
