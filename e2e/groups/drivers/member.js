// A consumer in a process of its own: prints "partition offset value", commits, leaves on SIGTERM.
const path = require('path')
const { Kafka, logLevel } = require(path.join(process.argv[2], 'kafkajs'))
const [, , , , server, groupId, topic] = process.argv

const kafka = new Kafka({ clientId: 'member', brokers: [server], logLevel: logLevel.NOTHING, retry: { retries: 100, initialRetryTime: 100, maxRetryTime: 1000 } })
const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, rebalanceTimeout: 12000, heartbeatInterval: 500, maxWaitTimeInMs: 500, retry: { retries: 100, maxRetryTime: 1000 } })

async function main () {
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    eachBatchAutoResolve: false,
    autoCommit: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
      for (const m of batch.messages) {
        if (!isRunning() || isStale()) return
        console.log(`${batch.partition} ${m.offset} ${m.value}`)
        resolveOffset(m.offset)
        await consumer.commitOffsets([{ topic, partition: batch.partition, offset: String(BigInt(m.offset) + 1n) }])
      }
      await heartbeat()
    }
  })
}

process.on('SIGTERM', () => consumer.disconnect().then(() => process.exit(0)))
main().catch(e => { console.error(e); process.exit(1) })
