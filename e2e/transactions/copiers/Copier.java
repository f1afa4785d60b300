import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Copies a topic to another with Apache Kafka's Java client, each record exactly once: read, write and commit in one
 * transaction. Every third transaction is aborted first. Arguments: servers, transactional id, group, from, to. It
 * says "committed N" for each transaction of N records, and ends when its input does.
 */
public class Copier {
    static String addr, id, group, source, target;
    static volatile boolean ended;

    public static void main(String[] args) throws Exception {
        addr = args[0];
        id = args[1];
        group = args[2];
        source = args[3];
        target = args[4];
        Thread end = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (java.io.IOException e) {
                // the same as its end
            }
            ended = true;
        });
        end.setDaemon(true);
        end.start();
        int n = 0;
        while (!ended) {
            try (KafkaProducer<byte[], byte[]> p = producer(); KafkaConsumer<byte[], byte[]> c = consumer()) {
                p.initTransactions();
                while (!ended) {
                    if (step(c, p, n % 3 == 2) > 0 || n % 3 == 2) n++;
                }
            } catch (KafkaException e) {
                System.out.println("anew: " + e);
            }
        }
    }

    static int step(KafkaConsumer<byte[], byte[]> c, KafkaProducer<byte[], byte[]> p, boolean abort) {
        ConsumerRecords<byte[], byte[]> batch = c.poll(Duration.ofMillis(500));
        if (batch.isEmpty()) return 0;
        p.beginTransaction();
        try {
            if (abort) {
                p.send(new ProducerRecord<>(target, 0, null, "aborted".getBytes()));
                p.flush();
                p.abortTransaction();
                rewind(c);
                return 0;
            }
            Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
            for (ConsumerRecord<byte[], byte[]> m : batch) {
                p.send(new ProducerRecord<>(target, m.partition(), null, m.value()));
                next.put(new TopicPartition(m.topic(), m.partition()), new OffsetAndMetadata(m.offset() + 1));
            }
            p.sendOffsetsToTransaction(next, c.groupMetadata());
            p.commitTransaction();
            System.out.println("committed " + batch.count());
            return batch.count();
        } catch (KafkaException e) {
            System.out.println("failed: " + e);
            p.abortTransaction(); // throws again when that is impossible
            rewind(c);
            return 0;
        }
    }

    static void rewind(KafkaConsumer<byte[], byte[]> c) {
        c.committed(c.assignment()).forEach((p, o) -> c.seek(p, o == null ? 0 : o.offset()));
        for (TopicPartition p : c.assignment()) {
            if (c.committed(java.util.Set.of(p)).get(p) == null) c.seekToBeginning(List.of(p));
        }
    }

    static KafkaProducer<byte[], byte[]> producer() {
        Properties p = new Properties();
        p.put("bootstrap.servers", addr);
        p.put("transactional.id", id);
        p.put("max.block.ms", "20000");
        p.put("transaction.timeout.ms", "30000");
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer() {
        Properties p = new Properties();
        p.put("bootstrap.servers", addr);
        p.put("group.id", group);
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("isolation.level", "read_committed");
        p.put("max.poll.records", "20");
        p.put("session.timeout.ms", "6000");
        p.put("heartbeat.interval.ms", "500");
        KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        c.subscribe(List.of(source));
        return c;
    }
}
