//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A specimen is a message of the corpus in testdata/corpus. The files have
// placeholders for what depends on the place, and lines that begin with # before
// the message tell what is odd about it.
type specimen struct {
	name, text string
}

func corpus(t *testing.T) []specimen {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.sip")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus: ", err)
	}
	var all []specimen
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		for strings.HasPrefix(text, "#") {
			_, text, _ = strings.Cut(text, "\n")
		}
		all = append(all, specimen{strings.TrimSuffix(filepath.Base(f), ".sip"), text})
	}
	return all
}

// everyByte is a body of all bytes, with an empty line in it.
func everyByte() string {
	b := []byte("\r\n\r\n\x00")
	for i := range 256 {
		b = append(b, byte(i))
	}
	return string(b)
}

// render fills a specimen in. Route is a Route line with rewatch's own address,
// which rewatch takes away; it is empty for the text that is expected.
func (sp specimen) render(p *peer, transport, uri, id, branch, route string) []byte {
	head, body, _ := strings.Cut(sp.text, "\n\n")
	body = strings.TrimSuffix(body, "\n")
	body = strings.ReplaceAll(body, "\n", "\r\n")
	body = strings.NewReplacer(
		"{BINARY}", everyByte(),
		"{BIG}", strings.Repeat("0123456789abcde\n", 60000/16),
	).Replace(body)
	upper := strings.ToUpper(transport)
	if route == "" {
		head = strings.Replace(head, "{ROUTE}\n", "", 1)
	}
	head = strings.NewReplacer(
		"{URI}", uri,
		"{VIA}", fmt.Sprintf("SIP/2.0/%s %s;rport;branch=%s", upper, p.addr, branch),
		"{ROUTE}", route, "{ID}", id, "{BRANCH}", branch, "{SELF}", p.addr, "{TRANSPORT}", upper,
		"{LONG}", strings.Repeat("abcdefgh", 1024),
		"{LEN}", strconv.Itoa(len(body)),
	).Replace(head)
	return []byte(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body)
}

var (
	maxForwards = regexp.MustCompile(`(?mi)^(max-forwards[ \t]*:(?:\r\n)?[ \t]*)([0-9]+)`)
	received    = regexp.MustCompile(`;received=[0-9.]+`)
	rport       = regexp.MustCompile(`;rport=[0-9]+`)
)

// undo takes the edits that dialogs/DESIGN.md names ("Bytes stay as they are") out of a request that rewatch
// has forwarded: its Via, its Record-Routes, received and rport on the Via below,
// and the Max-Forwards, which it returns.
func undo(raw []byte, s *site) (undone []byte, forwards int) {
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	var kept []string
	via := false
	for line := range strings.SplitSeq(string(head), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		own := strings.Contains(value, s.ip(30)+":") || strings.Contains(value, s.ip(31)+":") ||
			strings.Contains(value, s.ip(30)+";") || strings.Contains(value, s.ip(31)+";")
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case own && !via && (name == "via" || name == "v"), own && name == "record-route":
			continue
		case !via && (name == "via" || name == "v"):
			via = true
			line = rport.ReplaceAllString(received.ReplaceAllString(line, ""), ";rport")
		}
		kept = append(kept, line)
	}
	text := strings.Join(kept, "\r\n")
	if m := maxForwards.FindStringSubmatch(text); m != nil {
		forwards, _ = strconv.Atoi(m[2])
		text = maxForwards.ReplaceAllString(text, "${1}N")
	}
	return []byte(text + "\r\n\r\n" + string(body)), forwards
}

// difference shows where two messages differ.
func difference(got, want []byte) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	cut := func(b []byte) string { return fmt.Sprintf("%q", b[max(0, i-60):min(len(b), i+100)]) }
	return fmt.Sprintf("%d and %d bytes, they differ at %d:\n got %s\nwant %s", len(got), len(want), i, cut(got), cut(want))
}

// TestTransparency sends the corpus through rewatch in both directions, over
// UDP, TCP and across, and the responses back. What comes out is what went in,
// but for the named edits.
func TestTransparency(t *testing.T) {
	t.Parallel()
	for _, out := range []string{"udp", "tcp"} {
		t.Run("server by "+out, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server := s.peer("server", 40, 5070, func(p *peer, m *message) {
				if m.method == "OPTIONS" && strings.Contains(m.get("from"), "rewatch") {
					p.reply(m, 200, "OK") // rewatch asks whether the server is there
				}
			})
			core := s.peer("core", 20, 5060, nil)
			s.startRewatch(env{"REWATCH_SERVER": "sip:" + s.ip(40) + ":5070;transport=" + out, "REWATCH_NOTIFY_TIMEOUT": "10s"})
			for _, in := range []string{"udp", "tcp"} {
				for _, sp := range corpus(t) {
					through(t, s, sp, core, s.coreSide(), in, server, "sip:bob@ims.example;odd=%41;x")
					through(t, s, sp, server, s.serverSide(), in, core, "sip:alice@"+core.addr+";transport="+out+";odd=%41")
				}
			}
		})
	}
}

// through sends one specimen from one peer to the other, and a response back.
func through(t *testing.T, s *site, sp specimen, from *peer, hop, in string, to *peer, uri string) {
	t.Helper()
	id, branch := token("corpus"), "z9hG4bK"+token("c")
	name := fmt.Sprintf("%s from the %s by %s", sp.name, from.name, in)
	suffix := ""
	if in == "tcp" {
		suffix = ";transport=tcp"
	}
	sent := sp.render(from, in, uri, id, branch, "Route: <sip:"+hop+suffix+";lr>")
	from.send(in, hop, sent)
	has := func(m *message) bool { return bytes.Contains(m.raw, []byte(id)) }
	m := to.find(patience/2, func(m *message) bool { return m.method != "" && has(m) })
	if m == nil {
		got := from.find(0, has)
		t.Errorf("%s did not come through; the sender got %v", name, got)
		return
	}
	want, before := undo(sp.render(from, in, uri, id, branch, ""), s)
	got, after := undo(m.raw, s)
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %s", name, difference(got, want))
	}
	if after != before-1 {
		t.Errorf("%s: Max-Forwards is %d after %d", name, after, before)
	}
	if m.method == "ACK" {
		return
	}

	// The response, in the style of the clients of which dialogs/DESIGN.md tells: all Vias
	// in one line, and a body with everything in it.
	vias := m.all("via")
	head := fmt.Sprintf("SIP/2.0 299  Odd,  \"but\" fine \r\nv: %s\r\nX-Odd :  1\r\n  folded\r\nf: %s\r\nt: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nx-odd:\r\nl: %d\r\n\r\n",
		strings.Join(vias, ", "), m.get("from"), m.get("to"), m.get("call-id"), m.get("cseq"), len(everyByte()))
	answer := []byte(head + everyByte())
	to.respond(m, answer)
	r := from.find(patience/2, func(m *message) bool { return m.status == 299 && has(m) })
	if r == nil {
		t.Errorf("%s: the response did not come through", name)
		return
	}
	want = bytes.Replace(answer, []byte("v: "+vias[0]+", "), []byte("v: "), 1)
	if !bytes.Equal(r.raw, want) {
		t.Errorf("%s, response: %s", name, difference(r.raw, want))
	}
}
