package hep

import (
	"encoding/hex"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

var sip = []byte("OPTIONS sip:bob@ims.example SIP/2.0\r\nCall-ID: 1\r\n\r\n")

func example(transport, from, to string) Message {
	return Message{
		Transport: transport, From: netip.MustParseAddrPort(from), To: netip.MustParseAddrPort(to),
		At: time.Unix(1795446897, 123456789), Capture: 2001, Raw: sip,
	}
}

// TestGolden compares whole packets with those in testdata, which were read with
// the list of chunks at hand.
func TestGolden(t *testing.T) {
	for name, m := range map[string]Message{
		"udp4":   example("udp", "10.0.0.1:5060", "10.0.0.2:5062"),
		"tcp6":   example("tcp", "[fd00::1]:5060", "[fd00::2]:41234"),
		"tls":    example("tls", "10.0.0.1:5061", "10.0.0.2:5062"),
		"mapped": example("udp", "[::ffff:10.0.0.1]:5060", "10.0.0.2:5062"),
		"mixed":  example("udp", "10.0.0.1:5060", "[fd00::2]:5062"),
	} {
		t.Run(name, func(t *testing.T) {
			got := hex.Dump(m.Append(nil))
			file := filepath.Join("testdata", name+".hex")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	m := example("udp", "10.0.0.1:5060", "10.0.0.2:5062")
	b := m.Append([]byte("before"))
	if !strings.HasPrefix(string(b), "beforeHEP3") || string(b[6:]) != string(m.Append(nil)) {
		t.Errorf("%q", b)
	}
}

// TestMaxRaw: the longest message just fits into a datagram.
func TestMaxRaw(t *testing.T) {
	m := example("udp", "[fd00::1]:5060", "[fd00::2]:5062")
	m.Raw = make([]byte, MaxRaw)
	if n := len(m.Append(nil)); n != 65507 {
		t.Errorf("%d octets", n)
	}
}
