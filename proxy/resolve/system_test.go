package resolve

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers the questions of a System over pipes. answer changes the
// message that would be sent; nil sends nothing.
type nameServer struct {
	mu     sync.Mutex
	asked  []string
	answer func(network string, m *dnsmessage.Message) []*dnsmessage.Message
}

func (n *nameServer) dial(_ context.Context, network, address string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer func() { _ = theirs.Close() }()
		n.serve(network, address, theirs)
	}()
	return ours, nil
}

func (n *nameServer) serve(network, address string, c net.Conn) {
	buf := make([]byte, 1500)
	if network == "tcp" {
		if _, err := io.ReadFull(c, buf[:2]); err != nil {
			return
		}
	}
	k, err := c.Read(buf)
	if err != nil {
		return
	}
	var m dnsmessage.Message
	if err := m.Unpack(buf[:k]); err != nil {
		panic(err)
	}
	n.mu.Lock()
	n.asked = append(n.asked, strings.Join([]string{network, address, m.Questions[0].Type.String(), m.Questions[0].Name.String()}, " "))
	n.mu.Unlock()
	m.Additionals, m.Response = nil, true
	for _, r := range n.answer(network, &m) {
		b, err := r.Pack()
		if err != nil {
			panic(err)
		}
		if network == "tcp" {
			b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
	_, _ = c.Read(buf) // until the other side closes
}

func system(t *testing.T, n *nameServer, resolv, hosts string) *System {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return &System{resolvConf: write("resolv.conf", resolv), hosts: write("hosts", hosts), dial: n.dial}
}

func reply(m *dnsmessage.Message, bodies ...dnsmessage.ResourceBody) []*dnsmessage.Message {
	r := *m
	for _, b := range bodies {
		typ := m.Questions[0].Type
		if _, ok := b.(*dnsmessage.CNAMEResource); ok {
			typ = dnsmessage.TypeCNAME
		}
		ttl := uint32(30)
		if typ == dnsmessage.TypeCNAME && m.Questions[0].Type == dnsmessage.TypeAAAA {
			ttl = 7
		}
		r.Answers = append(r.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: typ, Class: dnsmessage.ClassINET, TTL: ttl},
			Body:   b,
		})
	}
	return []*dnsmessage.Message{&r}
}

func naptrData(order, pref uint16, flags, service, regexp, name string) []byte {
	b := binary.BigEndian.AppendUint16(nil, order)
	b = binary.BigEndian.AppendUint16(b, pref)
	for _, s := range []string{flags, service, regexp} {
		b = append(append(b, byte(len(s))), s...)
	}
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}

const oneServer = "nameserver 192.0.2.53\n"

func TestSystemReadsRecords(t *testing.T) {
	a := &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}
	cname := &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("real.example.")}
	v6 := netip.MustParseAddr("2001:db8::1")
	ttl := 30 * time.Second
	tests := []struct {
		typ    dnsmessage.Type
		bodies []dnsmessage.ResourceBody
		want   Record
	}{
		{dnsmessage.TypeA, []dnsmessage.ResourceBody{cname, a}, Record{TTL: ttl, Addr: netip.MustParseAddr("192.0.2.1")}},
		{dnsmessage.TypeAAAA, []dnsmessage.ResourceBody{&dnsmessage.AAAAResource{AAAA: v6.As16()}}, Record{TTL: ttl, Addr: v6}},
		// Behind a CNAME that holds for 7 s nothing holds longer.
		{dnsmessage.TypeAAAA, []dnsmessage.ResourceBody{cname, &dnsmessage.AAAAResource{AAAA: v6.As16()}}, Record{TTL: 7 * time.Second, Addr: v6}},
		{
			dnsmessage.TypeSRV,
			[]dnsmessage.ResourceBody{&dnsmessage.SRVResource{Priority: 1, Weight: 2, Port: 3, Target: dnsmessage.MustNewName("a.example.")}},
			Record{TTL: ttl, Priority: 1, Weight: 2, Port: 3, Name: "a.example"},
		},
		{
			dnsmessage.TypeSRV,
			[]dnsmessage.ResourceBody{&dnsmessage.SRVResource{Target: dnsmessage.MustNewName(".")}},
			Record{TTL: ttl},
		},
		{
			TypeNAPTR,
			[]dnsmessage.ResourceBody{&dnsmessage.UnknownResource{Type: TypeNAPTR, Data: naptrData(1, 2, "s", "SIP+D2U", "", "_sip._udp.Example")}},
			Record{TTL: ttl, Order: 1, Preference: 2, Flags: "s", Service: "SIP+D2U", Name: "_sip._udp.example"},
		},
	}
	for _, tt := range tests {
		n := &nameServer{answer: func(_ string, m *dnsmessage.Message) []*dnsmessage.Message { return reply(m, tt.bodies...) }}
		got, err := system(t, n, oneServer, "").Exchange(t.Context(), "x.example", tt.typ)
		if err != nil || len(got) != 1 || got[0] != tt.want {
			t.Errorf("%v: %+v, %v", tt.typ, got, err)
		}
	}
}

func TestSystemAnswers(t *testing.T) {
	a := &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}
	ok := func(m *dnsmessage.Message) []*dnsmessage.Message { return reply(m, a) }
	tests := []struct {
		name   string
		answer func(network string, m *dnsmessage.Message) []*dnsmessage.Message
		asked  int
		want   error
	}{
		{"truncated", func(network string, m *dnsmessage.Message) []*dnsmessage.Message {
			m.Truncated = network == "udp"
			return ok(m)
		}, 2, nil},
		{"forged, then true", func(_ string, m *dnsmessage.Message) []*dnsmessage.Message {
			forged := ok(m)[0]
			forged.ID++
			other := *ok(m)[0]
			other.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("y."), Type: m.Questions[0].Type, Class: m.Questions[0].Class}}
			return append([]*dnsmessage.Message{forged, &other}, ok(m)...)
		}, 1, nil},
		{"no such name", func(_ string, m *dnsmessage.Message) []*dnsmessage.Message {
			m.RCode = dnsmessage.RCodeNameError
			return reply(m)
		}, 1, ErrNoRecord},
		{"no such record", func(_ string, m *dnsmessage.Message) []*dnsmessage.Message { return reply(m) }, 1, ErrNoRecord},
		{"server failure", func(_ string, m *dnsmessage.Message) []*dnsmessage.Message {
			m.RCode = dnsmessage.RCodeServerFailure
			return reply(m)
		}, 2, errAny},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := &nameServer{answer: tt.answer}
			got, err := system(t, n, oneServer, "").Exchange(t.Context(), "x.example", dnsmessage.TypeA)
			if len(n.asked) != tt.asked {
				t.Errorf("asked %v", n.asked)
			}
			switch {
			case tt.want == nil && (err != nil || len(got) != 1):
				t.Errorf("%v, %v", got, err)
			case errors.Is(tt.want, errAny) && (err == nil || errors.Is(err, ErrNoRecord)):
				t.Errorf("%v", err)
			case errors.Is(tt.want, ErrNoRecord) && !errors.Is(err, ErrNoRecord):
				t.Errorf("%v", err)
			}
		})
	}
}

var errAny = errors.New("any")

// A name server that does not answer is passed over.
func TestSystemNextServer(t *testing.T) {
	n := &nameServer{}
	n.answer = func(_ string, m *dnsmessage.Message) []*dnsmessage.Message {
		if len(n.asked) == 1 {
			m.RCode = dnsmessage.RCodeRefused
			return reply(m)
		}
		return reply(m, &dnsmessage.AResource{})
	}
	s := system(t, n, "nameserver 192.0.2.1\nnameserver 2001:db8::53\n", "")
	if _, err := s.Exchange(t.Context(), "x.example", dnsmessage.TypeA); err != nil {
		t.Error(err)
	}
	if want := []string{"udp 192.0.2.1:53 TypeA x.example.", "udp [2001:db8::53]:53 TypeA x.example."}; !slices.Equal(n.asked, want) {
		t.Errorf("asked %q", n.asked)
	}
}

func TestSystemGivesUp(t *testing.T) {
	n := &nameServer{answer: func(string, *dnsmessage.Message) []*dnsmessage.Message { return nil }}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := system(t, n, oneServer, "").Exchange(ctx, "x.example", dnsmessage.TypeA); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err) // the connection's deadline may be noticed before the context's
	}
}

func TestHosts(t *testing.T) {
	const hosts = "# comment\n192.0.2.7 presence Presence.example # x\n2001:db8::7\tpresence\nbad line\n"
	tests := []struct {
		name string
		typ  dnsmessage.Type
		want string
		ok   bool
	}{
		{"PRESENCE", dnsmessage.TypeA, "192.0.2.7", true},
		{"presence", dnsmessage.TypeAAAA, "2001:db8::7", true},
		{"presence.example", dnsmessage.TypeAAAA, "", true},
		{"presence", dnsmessage.TypeSRV, "", false},
		{"other", dnsmessage.TypeA, "", false},
		{"localhost", dnsmessage.TypeA, "127.0.0.1", true},
	}
	for _, tt := range tests {
		records, ok := lookupHosts(hosts, tt.name, tt.typ)
		got := ""
		if len(records) == 1 {
			got = records[0].Addr.String()
		}
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s %v: %v, %v", tt.name, tt.typ, records, ok)
		}
	}
}

func TestCandidates(t *testing.T) {
	const k8s = "search ns.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5 timeout:1\n"
	tests := []struct {
		conf, name string
		want       []string
	}{
		{"", "a.example", []string{"a.example"}},
		{"search lan", "a.example", []string{"a.example", "a.example.lan"}},
		{"search lan.", "a", []string{"a.lan", "a"}},
		{k8s, "_sip._udp.presence", []string{
			"_sip._udp.presence.ns.svc.cluster.local", "_sip._udp.presence.svc.cluster.local", "_sip._udp.presence",
		}},
	}
	for _, tt := range tests {
		if got := parseConf(tt.conf).candidates(tt.name); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	if c := parseConf(k8s); !slices.Equal(c.servers, []string{"10.96.0.10:53"}) || c.ndots != 5 {
		t.Errorf("%+v", c)
	}
}

func FuzzParseNAPTR(f *testing.F) {
	f.Add(naptrData(1, 2, "s", "SIP+D2U", "", "_sip._udp.example"))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0xc0, 0x0c})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseNAPTR(b); err != nil && r != (Record{}) {
			t.Errorf("%x: %+v with %v", b, r, err)
		}
	})
}

func TestNAPTRCutShort(t *testing.T) {
	whole := naptrData(1, 2, "s", "SIP+D2U", "!x!", "_sip._udp.example")
	for i := range whole {
		if _, err := parseNAPTR(bytes.Clone(whole[:i])); !errors.Is(err, errNAPTR) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
}
