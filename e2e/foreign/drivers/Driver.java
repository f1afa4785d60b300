import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Drives Apache Kafka's Java client for the client suite: one JSON request a line in, one answer a line out. */
public class Driver {
    static final ObjectMapper JSON = new ObjectMapper();
    static final Duration WAIT = Duration.ofSeconds(50);

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer;
            try {
                answer = answer(JSON.readTree(line));
            } catch (Exception e) {
                Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
                answer = JSON.createObjectNode().put("error", cause.toString());
            }
            System.out.println(JSON.writeValueAsString(answer));
        }
    }

    static ObjectNode answer(JsonNode r) throws Exception {
        switch (r.get("op").asText()) {
            case "produce": return produce(r);
            case "each": return each(r);
            case "consume": return consume(r);
            case "group": return group(r);
            case "offset_at": return offsetAt(r);
            case "create": return create(r);
            case "delete": return delete(r);
            case "topics": return topics(r);
            default: throw new IllegalArgumentException(r.get("op").asText());
        }
    }

    static byte[] raw(JsonNode n) throws Exception { return n == null || n.isNull() ? null : n.binaryValue(); }

    static Properties properties(JsonNode r) {
        Properties p = new Properties();
        p.put("bootstrap.servers", r.get("addr").asText());
        return p;
    }

    static ObjectNode produce(JsonNode r) throws Exception {
        Properties p = properties(r);
        p.put("compression.type", r.get("codec").asText());
        p.put("max.request.size", "2000000");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<?>> sent = new ArrayList<>();
            for (JsonNode rec : r.get("records")) {
                List<Header> headers = new ArrayList<>();
                for (JsonNode h : rec.get("headers")) headers.add(new RecordHeader(h.get("key").asText(), raw(h.get("value"))));
                sent.add(producer.send(new ProducerRecord<>(r.get("topic").asText(), rec.get("partition").asInt(), rec.get("ts").asLong(),
                    raw(rec.get("key")), raw(rec.get("value")), headers)));
            }
            for (Future<?> f : sent) f.get();
        }
        return JSON.createObjectNode();
    }

    /** One producer sends one record after the other; in transactions of their own if asked to. */
    static ObjectNode each(JsonNode r) throws Exception {
        Properties p = properties(r);
        p.put("compression.type", r.get("codec").asText());
        boolean transactional = r.hasNonNull("group");
        if (transactional) p.put("transactional.id", r.get("group").asText());
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode results = answer.putArray("results");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            if (transactional) producer.initTransactions();
            for (JsonNode rec : r.get("records")) {
                List<Header> headers = new ArrayList<>();
                for (JsonNode h : rec.get("headers")) headers.add(new RecordHeader(h.get("key").asText(), raw(h.get("value"))));
                if (transactional) producer.beginTransaction();
                try {
                    producer.send(new ProducerRecord<>(r.get("topic").asText(), rec.get("partition").asInt(), null, raw(rec.get("key")),
                        raw(rec.get("value")), headers)).get();
                    if (transactional) producer.commitTransaction();
                    results.add("");
                } catch (ExecutionException e) {
                    if (transactional) producer.abortTransaction();
                    results.add(e.getCause().toString());
                }
            }
        }
        return answer;
    }

    static KafkaConsumer<byte[], byte[]> consumer(JsonNode r) {
        Properties p = properties(r);
        if (r.hasNonNull("group")) p.put("group.id", r.get("group").asText());
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static ObjectNode collect(KafkaConsumer<byte[], byte[]> c, int n, Map<TopicPartition, OffsetAndMetadata> next) {
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode out = answer.putArray("records");
        long end = System.nanoTime() + WAIT.toNanos();
        while (out.size() < n) {
            if (System.nanoTime() > end) throw new IllegalStateException(out.size() + " of " + n + " records came");
            for (ConsumerRecord<byte[], byte[]> m : c.poll(Duration.ofMillis(200))) {
                if (out.size() == n) break;
                ObjectNode o = out.addObject();
                o.put("partition", m.partition()).put("offset", m.offset()).put("ts", m.timestamp()).put("key", m.key()).put("value", m.value());
                ArrayNode headers = o.putArray("headers");
                for (Header h : m.headers()) headers.addObject().put("key", h.key()).put("value", h.value());
                next.put(new TopicPartition(m.topic(), m.partition()), new OffsetAndMetadata(m.offset() + 1));
            }
        }
        return answer;
    }

    static ObjectNode consume(JsonNode r) {
        try (KafkaConsumer<byte[], byte[]> c = consumer(r)) {
            TopicPartition p = new TopicPartition(r.get("topic").asText(), r.get("partition").asInt());
            c.assign(List.of(p));
            c.seek(p, r.get("from").asLong());
            return collect(c, r.get("n").asInt(), new HashMap<>());
        }
    }

    static ObjectNode group(JsonNode r) {
        try (KafkaConsumer<byte[], byte[]> c = consumer(r)) {
            c.subscribe(List.of(r.get("topic").asText()));
            Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
            ObjectNode answer = collect(c, r.get("n").asInt(), next);
            c.commitSync(next);
            return answer;
        }
    }

    static ObjectNode offsetAt(JsonNode r) {
        try (KafkaConsumer<byte[], byte[]> c = consumer(r)) {
            TopicPartition p = new TopicPartition(r.get("topic").asText(), 0);
            return JSON.createObjectNode().put("offset", c.offsetsForTimes(Map.of(p, r.get("from").asLong())).get(p).offset());
        }
    }

    static ObjectNode create(JsonNode r) throws Exception {
        try (Admin a = Admin.create(properties(r))) {
            a.createTopics(List.of(new NewTopic(r.get("topic").asText(), r.get("partitions").asInt(), (short) 1))).all().get();
        }
        return JSON.createObjectNode();
    }

    static ObjectNode delete(JsonNode r) throws Exception {
        try (Admin a = Admin.create(properties(r))) {
            a.deleteTopics(List.of(r.get("topic").asText())).all().get();
        }
        return JSON.createObjectNode();
    }

    static ObjectNode topics(JsonNode r) throws Exception {
        ObjectNode answer = JSON.createObjectNode();
        ObjectNode topics = answer.putObject("topics");
        try (Admin a = Admin.create(properties(r))) {
            a.describeTopics(a.listTopics().names().get()).allTopicNames().get().forEach((name, t) -> topics.put(name, t.partitions().size()));
        }
        return answer;
    }
}
