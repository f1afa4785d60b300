package crash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"kelp/e2e/harness"
)

func frame(body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// metadata asks for no topics, version 1.
var metadata = frame(0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0)

var hostile = map[string][]byte{
	"unknown key":         frame(0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
	"negative length":     {0xff, 0xff, 0xff, 0xff, 0, 3, 0, 1},
	"frame over limit":    {0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 1, 0, 0, 0, 1},
	"empty frame":         {0, 0, 0, 0},
	"header cut short":    frame(0, 3, 0),
	"hostile array count": frame(0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff),
	"hostile string":      frame(0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1, 0x7f, 0xff),
	"hostile compact array": frame(0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0, // flexible header
		0xff, 0xff, 0xff, 0xff, 0x07),
	"hostile tag count": frame(0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f),
	"TLS hello":         append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 510)...),
	"HTTP GET":          []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// answer reads one frame.
func answer(conn net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 1<<20 {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(conn, body)
	return body, err
}

// works asks for metadata over the connection.
func works(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(metadata); err != nil {
		t.Fatalf("another client was harmed: %v", err)
	}
	if body, err := answer(conn); err != nil || binary.BigEndian.Uint32(body) != 7 {
		t.Fatalf("another client was harmed: answer %x, %v", body, err)
	}
}

// TestHostileInputIsRefused: the connection is closed or gets one answer, and nobody else notices.
func TestHostileInputIsRefused(t *testing.T) {
	b := harness.Start(t)
	bystander := dial(t, b.Addr)
	works(t, bystander)
	for name, bytes := range hostile {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, b.Addr)
			if _, err := conn.Write(bytes); err != nil {
				t.Fatal(err)
			}
			_, err := answer(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("neither closed nor answered")
			}
			works(t, bystander)
			works(t, dial(t, b.Addr))
		})
	}
}

// TestHalfSentFramesTakeNoMemory opens many connections that each claim a frame just under the limit and stop.
func TestHalfSentFramesTakeNoMemory(t *testing.T) {
	b := harness.Start(t)
	if b.Kind == harness.Kafka {
		// Apache Kafka allocates what the length claims: fewer, smaller claims keep its heap alive.
		claim(t, b, 2, 1<<20)
		return
	}
	before := resident(t, b.Pid())
	claim(t, b, 200, 100_000_000)
	if after := resident(t, b.Pid()); after-before > 64<<20 {
		t.Errorf("resident memory went from %d to %d bytes", before, after)
	}
}

func claim(t *testing.T, b *harness.Broker, connections int, size uint32) {
	t.Helper()
	bystander := dial(t, b.Addr)
	for range connections {
		half := append(binary.BigEndian.AppendUint32(nil, size), 0, 0, 0, 9, 0, 0, 0, 1)
		if _, err := dial(t, b.Addr).Write(half); err != nil {
			t.Fatal(err)
		}
	}
	works(t, bystander)
	works(t, dial(t, b.Addr))
}

// resident is VmRSS of the process in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
