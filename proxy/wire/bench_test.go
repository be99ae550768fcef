package wire

import (
	"strings"
	"testing"
)

// notify is the message that the measurements forward: in dialog, two Via, two
// Route, a PIDF body, 1098 bytes.
var notify = func() []byte {
	head := strings.Join([]string{
		"NOTIFY sip:watcher-0001@10.20.30.40:5060;transport=udp SIP/2.0",
		"Via: SIP/2.0/UDP 10.20.30.50:5070;branch=z9hG4bK-524287-1-4;rport",
		"Via: SIP/2.0/UDP 10.20.30.51:5070;branch=z9hG4bK-524286-9-1;received=10.20.30.52",
		"Route: <sip:10.20.30.60:5062;lr>",
		"Route: <sip:scscf.ims.example:6060;lr>",
		"Max-Forwards: 70",
		"From: <sip:bob@ims.example>;tag=8fe1c2",
		"To: <sip:alice@ims.example>;tag=77aa41",
		"Call-ID: 3848276298220188511@10.20.30.50",
		"CSeq: 12 NOTIFY",
		"Contact: <sip:10.20.30.50:5070>",
		"Event: presence",
		"Subscription-State: active;expires=3599",
		"Content-Type: application/pidf+xml",
	}, "\r\n")
	const size = 1098
	const length = "\r\nContent-Length: 471\r\n\r\n"
	body := "<?xml version=\"1.0\"?><presence>" + strings.Repeat("x", 471-31)
	pad := size - len(head) - len(length) - len(body) - len("\r\nUser-Agent: ")
	return []byte(head + "\r\nUser-Agent: " + strings.Repeat("a", pad) + length + body)
}()

func BenchmarkScan(b *testing.B) {
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		if err := Scan(notify, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanAndCheck(b *testing.B) {
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		if err := Scan(notify, &m); err != nil {
			b.Fatal(err)
		}
		if err := m.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkForward is what a proxy does to the NOTIFY: its Route is popped, its
// Via is pushed, Max-Forwards is lowered.
func BenchmarkForward(b *testing.B) {
	var (
		m   Message
		e   Edits
		out = make([]byte, 0, 2048)
		via = []byte("Via: SIP/2.0/UDP 10.20.30.60:5060;branch=z9hG4bKrw0123456789abcdef\r\n")
		mf  = []byte("69")
	)
	if err := Scan(notify, &m); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		e.Insert(m.Lines[m.First(Via)].Start, via)
		e.Pop(&m, Route, 1)
		l := m.Lines[m.First(MaxForwards)]
		e.Replace(l.Value, l.ValueEnd, mf)
		out = e.AppendTo(out[:0], m.Raw)
	}
}

func BenchmarkParseVia(b *testing.B) {
	v := []byte("SIP/2.0/UDP 10.20.30.51:5070;branch=z9hG4bK-524286-9-1;received=10.20.30.52;rport=5070")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := ParseVia(v); !ok {
			b.Fatal("unreadable")
		}
	}
}

func BenchmarkParseURI(b *testing.B) {
	v := []byte("sip:watcher-0001@10.20.30.40:5060;transport=udp;lr")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := ParseURI(v); !ok {
			b.Fatal("unreadable")
		}
	}
}

// BenchmarkHostile reads 64 KiB made to be expensive: it may cost what the bytes
// cost, not what their number squared does.
func BenchmarkHostile(b *testing.B) {
	for _, h := range hostile {
		b.Run(h.name, func(b *testing.B) {
			raw := []byte(h.raw)
			var m Message
			b.ReportAllocs()
			for b.Loop() {
				_ = Scan(raw, &m)
				touch(&m)
			}
		})
	}
}

var hostile = func() (all []struct{ name, raw string }) {
	const start = "OPTIONS sip:a@b SIP/2.0\r\n"
	for _, h := range [][3]string{
		{"60000 lines", "a\n", ""},
		{"folds", "\n ", "Via: x"},
		{"colons", ":", "Via"},
		{"commas", ",", "Via: SIP/2.0/UDP h;branch=1"},
		{"values", "SIP/2.0/UDP h;branch=1,", "Via: "},
		{"semicolons", ";", "Via: SIP/2.0/UDP h"},
		{"parameters", ";a=1", "From: <sip:a@b>"},
		{"quotes", "\"", "From: "},
		{"backslashes", "\\", "From: \""},
		{"brackets", "<", "From: "},
		{"spaces", " ", "Via: SIP/2.0/UDP h"},
		{"spaces and commas", " ,", "Route: a"},
		{"fields", "v:h\n", ""},
	} {
		n := 65000 / len(h[1])
		all = append(all, struct{ name, raw string }{h[0], start + h[2] + strings.Repeat(h[1], n) + "\r\n\r\n"})
	}
	return all
}()

func BenchmarkSplit(b *testing.B) {
	v := []byte("SIP/2.0/UDP 10.20.30.60:5060;branch=z9hG4bKrwaa0123456789abcdef01234567")
	for b.Loop() {
		Split(v)
	}
}

func BenchmarkCSeqValue(b *testing.B) {
	var m Message
	if err := Scan(notify, &m); err != nil || m.Check() != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.CSeqValue()
	}
}
