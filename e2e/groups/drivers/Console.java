import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.consumer.group.ConsumerGroupCommand;

// Runs kafka-consumer-groups once for each line of arguments, in one process; what each prints is followed by a line "====".
public class Console {
    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        Exit.setExitProcedure((code, message) -> {
            throw new RuntimeException("exit");
        });
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            PrintStream to = new PrintStream(printed, true);
            System.setOut(to);
            System.setErr(to);
            try {
                ConsumerGroupCommand.main(("--bootstrap-server " + args[0] + " " + line).split(" "));
            } catch (RuntimeException e) {
                // it ended with an error, which it has printed
            }
            out.print(printed);
            out.println("\n====");
            out.flush();
        }
    }
}
