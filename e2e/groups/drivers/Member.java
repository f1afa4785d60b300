import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

// A consumer in a process of its own: prints "partition offset value", commits, leaves on SIGTERM.
public class Member {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[1]);
        p.put("group.id", args[2]);
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("fetch.max.wait.ms", "500");
        if (args[0].equals("java-848")) {
            p.put("group.protocol", "consumer");
        } else {
            p.put("session.timeout.ms", "6000");
            p.put("heartbeat.interval.ms", "500");
        }
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                main.join();
            } catch (InterruptedException e) {
                throw new RuntimeException(e);
            }
        }));
        consumer.subscribe(List.of(args[3]));
        try {
            while (true) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(500));
                StringBuilder out = new StringBuilder();
                for (ConsumerRecord<String, String> r : records) {
                    out.append(r.partition()).append(' ').append(r.offset()).append(' ').append(r.value()).append('\n');
                }
                System.out.print(out);
                System.out.flush();
                if (!records.isEmpty()) {
                    commit(consumer);
                }
            }
        } catch (WakeupException e) {
            // the end
        } finally {
            consumer.close();
        }
    }

    static void commit(KafkaConsumer<String, String> consumer) {
        for (boolean again = false; ; again = true) {
            try {
                consumer.commitSync();
                if (again) {
                    consumer.wakeup();
                }
                return;
            } catch (WakeupException e) {
                if (again) {
                    return;
                }
            } catch (CommitFailedException e) {
                return; // another has the partitions now
            } catch (KafkaException e) {
                System.err.println(e);
                return;
            }
        }
    }
}
