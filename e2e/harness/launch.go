package harness

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// root is the top folder of the repository, found from where this file was compiled.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// buildKelp builds the binary, or takes the one that KELP_E2E_BINARY names.
func (b *Broker) buildKelp() (err error) {
	b.binary, err = Built(b.dir)
	return err
}

// Built is the kelp of this tree, built into dir, or the one that KELP_E2E_BINARY names.
func Built(dir string) (string, error) {
	if binary := os.Getenv("KELP_E2E_BINARY"); binary != "" {
		return binary, nil
	}
	binary := filepath.Join(dir, "kelp")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/kelp")
	cmd.Dir = root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kelp: %w\n%s", err, out)
	}
	return binary, nil
}

// ownStore is a fresh folder below the one that KELP_E2E_STORE names, or empty. Flags that name a store win.
func ownStore(flags []string) string {
	base := os.Getenv("KELP_E2E_STORE")
	if base == "" || slices.Contains(flags, "--store") {
		return ""
	}
	return strings.TrimRight(base, "/") + "/" + strings.ToLower(rand.Text())
}

// InFolder are flags that keep a kelp's log in a folder whatever KELP_E2E_STORE says: for tests of its files.
var InFolder = []string{"--store", ""}

// HTTP is the address of a kelp's HTTP listener, as it said when it was ready.
func (b *Broker) HTTP() string {
	text, _ := os.ReadFile(b.logFile())
	_, rest, _ := strings.Cut(string(text[max(0, bytes.LastIndex(text, []byte("kelp is ready:"))):]), " http=")
	address, _, _ := strings.Cut(rest, " ")
	return address
}

// kafkaClassPath is KELP_E2E_KAFKA_LIBS or the folder that the installation script fills.
func kafkaClassPath() string {
	if libs := os.Getenv("KELP_E2E_KAFKA_LIBS"); libs != "" {
		return filepath.Join(libs, "*")
	}
	return filepath.Join(root(), ".cache", "kafka", "libs", "*")
}

func (b *Broker) formatKafka(port int) error {
	controller, err := freePort()
	if err != nil {
		return err
	}
	listen, control := net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), net.JoinHostPort("127.0.0.1", strconv.Itoa(controller))
	text := "process.roles=broker,controller\nnode.id=1\n" +
		"controller.quorum.bootstrap.servers=" + control + "\n" +
		"listeners=PLAINTEXT://" + listen + ",CONTROLLER://" + control + "\n" +
		"advertised.listeners=PLAINTEXT://" + listen + "\n" +
		"controller.listener.names=CONTROLLER\n" +
		"log.dirs=" + filepath.Join(b.dir, "data") + "\n" +
		"offsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n" +
		"transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n" +
		"group.initial.rebalance.delay.ms=0\n" + strings.Join(append(b.o.KafkaProperties, ""), "\n")
	if err := os.WriteFile(b.properties(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write server.properties: %w", err)
	}
	cmd := exec.Command("java", "-cp", kafkaClassPath(), "kafka.tools.StorageTool", "format",
		"-t", "abcdefghijklmnopqrstuv", "--standalone", "-c", b.properties())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format the storage of kafka: %w\n%s", err, out)
	}
	return nil
}
