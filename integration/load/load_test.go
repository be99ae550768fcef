package load

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"rewatch/proxy/wire"
)

const testNet = Net("127.250.1")

func proxyTarget() Target {
	return Target{CoreSide: testNet.CoreSide(), ServerSide: testNet.ServerSide(), OnNotify: 2, OnSubscribe: 2}
}

// forwarded does to a request of ours what a proxy does.
func forwarded(raw []byte, w *work, recordRoutes int) []byte {
	i := bytes.Index(raw, []byte("Via: "))
	j := bytes.Index(raw, w.rest.text)
	var b bytes.Buffer
	b.Write(raw[:i])
	b.WriteString("Via: SIP/2.0/UDP 127.250.1.30:5060;branch=z9hG4bKother\r\n")
	b.Write(raw[i:j])
	b.WriteString(strings.Repeat("Record-Route: <sip:proxy;lr>\r\n", recordRoutes))
	b.Write(w.restAfter)
	b.Write(raw[j+len(w.rest.text):])
	return b.Bytes()
}

func TestMessagesAreSIP(t *testing.T) {
	works := newWorks(testNet, testNet.Core(), proxyTarget(), "udp", []string{"sip:127.250.1.30:5060;lr"})
	tr := transaction{seq: 77, dialog: 1234, cseq: firstCSeq}
	for k := range kinds {
		raw := works[k].appendRequest(nil, tr, nil)
		var m wire.Message
		if err := wire.Scan(raw, &m); err != nil {
			t.Fatalf("%s: %v\n%s", k, err, raw)
		}
		if err := m.Check(); err != nil || string(m.Method) != k.String() || m.Length != len(raw)-m.Body {
			t.Errorf("%s: %v, length %d of %d\n%s", k, err, m.Length, len(raw)-m.Body, raw)
		}
		if m.Count(wire.Via) != 2 {
			t.Errorf("%s: %d Vias", k, m.Count(wire.Via))
		}
	}
}

// The size of the NOTIFY is that of earlier measurements, so that figures can be
// held against each other.
func TestNotifySize(t *testing.T) {
	works := newWorks(testNet, testNet.Core(), proxyTarget(), "udp", []string{"sip:127.250.1.30:5060;lr"})
	raw := works[Notify].appendRequest(nil, transaction{seq: 1, dialog: 1, cseq: firstCSeq}, nil)
	body := len(raw) - bytes.Index(raw, []byte("\r\n\r\n")) - 4
	if body != 471 || len(raw) != 1098 {
		t.Errorf("NOTIFY has %d bytes, %d of them body", len(raw), body)
	}
}

func TestCheckRequest(t *testing.T) {
	target := proxyTarget()
	works := newWorks(testNet, testNet.Core(), target, "udp", []string{"sip:a;lr", "sip:b;lr"})
	tr := transaction{seq: 5, dialog: 42, cseq: firstCSeq + 3}
	good := forwarded(works[Notify].appendRequest(nil, tr, nil), &works[Notify], 2)
	replace := func(old, to string) []byte { return bytes.Replace(good, []byte(old), []byte(to), 1) }
	for _, c := range []struct {
		name string
		raw  []byte
		want fault
	}{
		{"as it should be", good, ""},
		{"body changed", replace(">busy<", ">Busy<"), faultTail},
		{"another dialog", replace(";tag=", ";tag=x"), faultTail},
		{"Route left", replace("Route: <sip:127", "Route: <sip:b;lr>\r\nRoute: <sip:127"), faultRest},
		{"Max-Forwards not counted", replace("Max-Forwards: 69", "Max-Forwards: 70"), faultRest},
		{"no Via pushed", replace("Via: SIP/2.0/UDP 127.250.1.30:5060;branch=z9hG4bKother\r\n", ""), faultVias},
		{"own Via changed", replace("127.250.1.41:5071;branch", "127.250.1.41:5071;x;branch"), faultVia},
		{"Record-Route missing", replace("Record-Route: <sip:proxy;lr>\r\n", ""), faultRecordRoute},
		{"start line changed", replace("NOTIFY sip:w", "NOTIFY sip:x"), faultStart},
		{"a new header", replace("Max-Forwards", "X: y\r\nMax-Forwards"), faultOdd},
	} {
		check := checker{target: target, works: &works}
		var h head
		if !h.scan(c.raw) {
			t.Fatalf("%s: not scanned\n%s", c.name, c.raw)
		}
		if got := check.request(c.raw, &h, Notify, tr); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCheckResponse(t *testing.T) {
	target := proxyTarget()
	works := newWorks(testNet, testNet.Core(), target, "udp", nil)
	tr := transaction{seq: 9, dialog: 7, cseq: firstCSeq}
	for _, k := range []Kind{Notify, Subscribe, Register} {
		w := &works[k]
		req := forwarded(w.appendRequest(nil, tr, nil), w, w.recordRoutes)
		var h head
		h.scan(req)
		res := w.appendAnswer(nil, req, &h, k, tr)
		via := bytes.Index(res, []byte("Via: "))
		popped := append(bytes.Clone(res[:via]), res[nextLine(res, via):]...)
		check := checker{target: target, works: &works}
		for raw, want := range map[string]fault{string(popped): "", string(res): faultVias, string(popped) + "x": faultTail} {
			h.scan([]byte(raw))
			if got := check.response([]byte(raw), &h, k, tr); got != want {
				t.Errorf("%s: %q, want %q\n%s", k, got, want, raw)
			}
		}
	}
}

func TestForeign(t *testing.T) {
	raw := []byte("OPTIONS sip:x SIP/2.0\r\nVia: a\r\nVia: b\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n")
	got, ok := appendForeign(nil, raw)
	want := "SIP/2.0 200 OK\r\nVia: a\r\nVia: b\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=ld\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
	if !ok || string(got) != want {
		t.Errorf("got %q", got)
	}
	if _, ok := appendForeign(nil, []byte("ACK sip:x SIP/2.0\r\n\r\n")); ok {
		t.Error("an ACK was answered")
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for i := 1; i <= 10000; i++ {
		h.Add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 5 * time.Millisecond, 0.99: 9900 * time.Microsecond, 0.999: 9990 * time.Microsecond} {
		if got := h.Quantile(q); got < want*97/100 || got > want*103/100 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	for v := uint64(1); v < 1<<40; v = v*5/4 + 1 {
		if got := uint64(middleOf(bucketOf(v))); got < v-v/16-1 || got > v+v/16+1 { //nolint:gosec // positive
			t.Errorf("%d is counted as %d", v, got)
		}
	}
}

func TestPace(t *testing.T) {
	p := pace{rate: 1000, count: 50}
	if n := p.due(10*time.Millisecond, 0, 0); n != 11 {
		t.Errorf("after 10 ms %d are due", n)
	}
	if n := p.due(time.Second, 40, 40); n != 10 {
		t.Errorf("of 50, with 40 sent, %d are due", n)
	}
	closed := pace{window: 8}
	if n := closed.due(0, 100, 5); n != 3 {
		t.Errorf("with 5 of 8 open %d are due", n)
	}
}

func TestPending(t *testing.T) {
	p := newPending(4)
	for range 4 {
		p.add(open{})
	}
	p.end(p.find(1))
	if _, lost := p.add(open{}); lost {
		t.Error("the place of a finished transaction is free")
	}
	if _, lost := p.add(open{}); !lost {
		t.Error("the second one had no answer")
	}
	if p.find(2) != nil || p.find(5) == nil {
		t.Error("the ring holds the newest")
	}
	if n := p.abandon(); n != 4 || p.open != 0 {
		t.Errorf("%d abandoned, %d open", n, p.open)
	}
}

func TestEveryDialogIsChosen(t *testing.T) {
	for _, n := range []int{1, 2, 10, 20000, 99999} {
		g := &Generator{run: &run{Phase: Phase{Dialogs: n}}}
		seen := make([]bool, n)
		for range n {
			d, round := g.choose(Notify)
			if seen[d] || round != 0 {
				t.Fatalf("of %d dialogs %d is chosen twice", n, d)
			}
			seen[d] = true
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	target := proxyTarget()
	works := newWorks(testNet, testNet.Core(), target, "udp", nil)
	tr := transaction{seq: 5, dialog: 42, cseq: firstCSeq}
	good := forwarded(works[Notify].appendRequest(nil, tr, nil), &works[Notify], 2)
	check := checker{target: target, works: &works}
	var buf []byte
	var h head
	b.ReportAllocs()
	for b.Loop() {
		buf = works[Notify].appendRequest(buf[:0], tr, nil)
		h.scan(good)
		if check.request(good, &h, Notify, tr) != "" {
			b.Fatal(check.sample)
		}
		buf = works[Notify].appendAnswer(buf[:0], good, &h, Notify, tr)
	}
}

// TestFiller makes messages of different lengths, with every field in its place.
func TestFiller(t *testing.T) {
	p := compile("{cseq} x{filler}y {cseq}\n")
	for more, want := range map[uint16]string{0: "1000001 xy 1000001\r\n", 3: "1000001 xxxxy 1000001\r\n"} {
		if got := string(p.appendTo([]byte("before "), transaction{cseq: 1000001, more: more})); got != "before "+want {
			t.Errorf("%d: %q", more, got)
		}
	}
	none := compile("x {cseq}")
	if got := string(none.appendTo(nil, transaction{cseq: 1000001, more: 3})); got != "x 1000001" {
		t.Errorf("%q", got)
	}
}
