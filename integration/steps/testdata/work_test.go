package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	dialogsmonitor "rewatch/dialogs/monitor"
	"rewatch/dialogs/redelivery"
	"rewatch/integration/steps"
	"rewatch/proxy/transport"
	"rewatch/proxy/transport/transporttest"
	"rewatch/proxy/wire"
)

// workLists are ways to write very much into a field, by the number of repetitions.
var workLists = map[string]func(field string, n int) string{
	"fields": func(field string, n int) string {
		return strings.Repeat(field+": <sip:a@b;lr>;x=y\r\n", min(n/40, 1000))
	},
	"values": func(field string, n int) string {
		return field + ": " + strings.Repeat("<sip:a@b;lr>, ", n/14) + "x\r\n"
	},
	"own values": func(field string, n int) string {
		return field + ": " + strings.Repeat("<sip:"+coreSide+";lr>,", n/30) + "<sip:x>\r\n"
	},
	"own fields": func(field string, n int) string {
		return strings.Repeat(field+": <sip:"+coreSide+";lr>\r\n", min(n/40, 1000))
	},
	"commas": func(field string, n int) string { return field + ": " + strings.Repeat(",", n) + "\r\n" },
	"our branches": func(field string, n int) string {
		return field + ": SIP/2.0/UDP h;branch=" + strings.Repeat("z9hG4bKr,", n/9) + "\r\n"
	},
	"quotes":           func(field string, n int) string { return field + ": " + strings.Repeat(`"",`, n/3) + "<sip:a@b>\r\n" },
	"open quotes":      func(field string, n int) string { return field + ": " + strings.Repeat(`"\`, n/2) + "\r\n" },
	"open brackets":    func(field string, n int) string { return field + ": " + strings.Repeat("<,", n/2) + "\r\n" },
	"closed brackets":  func(field string, n int) string { return field + ": " + strings.Repeat("<>;", n/3) + ",x\r\n" },
	"parameters":       func(field string, n int) string { return field + ": <sip:a@b>" + strings.Repeat(";a=b", n/4) + "\r\n" },
	"empty parameters": func(field string, n int) string { return field + ": <sip:a@b>" + strings.Repeat("; ", n/2) + "\r\n" },
	"URI parameters": func(field string, n int) string {
		return field + ": <sip:a@b" + strings.Repeat(";lr;gr=b", n/8) + ">\r\n"
	},
	"escapes": func(field string, n int) string { return field + ": <sip:" + strings.Repeat("%41", n/3) + "@b>\r\n" },
	"folds": func(field string, n int) string {
		return field + ": <sip:a@b>" + strings.Repeat("\r\n ;a", min(n/5, 1000)) + "\r\n"
	},
	"blanks": func(field string, n int) string {
		return field + ": a," + strings.Repeat(" ", n) + ",b" + strings.Repeat("\t", n/2) + "\r\n"
	},
	"blank values": func(field string, n int) string { return field + ": " + strings.Repeat("a  ,  ", n/6) + "\r\n" },
	"one value":    func(field string, n int) string { return field + ": " + strings.Repeat("a", n) + "\r\n" },
	"colons":       func(field string, n int) string { return field + ": " + strings.Repeat("sip:a@", n/6) + "\r\n" },
}

// workFields are those that something in rewatch reads, and some that nothing does.
var workFields = []string{
	"Via", "Route", "Record-Route", "Contact", "P-Asserted-Identity", "P-Associated-URI", "From", "To", "Call-ID", "CSeq", "Event",
	"Subscription-State", "Expires", "Retry-After", "Proxy-Require", "Require", "Supported", "Accept", "Path", "User-Agent", "Timestamp",
	"Max-Forwards", "Content-Length", "Content-Type", "X-Other",
}

// TestWork sends each of them three times, each time twice as long. What a message costs
// beside its length cancels out: twice the growth of the length is twice the growth of the
// work, and four times that where a loop looks at all for each part.
func TestWork(t *testing.T) {
	for _, method := range []string{"SUBSCRIBE", "REGISTER", "NOTIFY", "BYE", "200", "480"} {
		t.Run(method, func(t *testing.T) {
			play(t, func(r *rig) {
				for _, field := range workFields {
					for name, list := range workLists {
						judge(t, method+" "+field+" "+name, func(n int) uint64 { return workOf(r, method, list(field, n)) })
					}
				}
			}, func(c *Config) {
				c.Resolver = &someNames{}
				c.Monitor = dialogsmonitor.New(dialogsmonitor.NewTable(dialogsmonitor.Config{MaxSubscriptions: 1000, Content: wire.Content}, nil), keen{}, zerolog.Nop(), nil)
			})
		})
	}
	t.Run("stream", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for name, list := range workPieces {
				judge(t, name, func(n int) uint64 { return streamWork(t, list(n)) })
			}
		})
	})
	t.Run("body", func(t *testing.T) {
		for name, part := range map[string]string{
			"XML": "<a>", "attributes": ` state="x"`, "comments": "<!-- ", "quotes": `<a b="`, "open": "<", "spaces": " ", "instructions": "<? ?>", "declarations": "<!DOCTYPE a [",
		} {
			judge(t, name, func(n int) uint64 {
				body := []byte("<?xml version='1.0'?>" + strings.Repeat(part, n/len(part)))
				before := steps.Count()
				redelivery.Full("application/rlmi+xml", "", body)
				redelivery.Full("multipart/related;boundary=x", "", []byte(strings.Repeat("--x\r\n\r\n"+part, n/20)))
				return steps.Count() - before
			})
		}
	})
}

// workPieces are ways to send very much over a connection, in pieces.
var workPieces = map[string]func(n int) []string{
	"a byte at a time":        func(n int) []string { return strings.Split(workMessage("X: "+strings.Repeat("y", n)+"\r\n", 0), "") },
	"lines, a byte at a time": func(n int) []string { return strings.Split(workMessage(strings.Repeat("a:\r\n", n/4), 0), "") },
	"line by line":            func(n int) []string { return strings.SplitAfter(workMessage(strings.Repeat("a:\r\n", n/4), 0), "\n") },
	"lines of some length": func(n int) []string {
		return strings.SplitAfter(workMessage(strings.Repeat("a: "+strings.Repeat("x", 90)+"\r\n", n/95), 0), "\n")
	},
	"its length last": func(n int) []string {
		return pieces(workMessage(strings.Repeat("a: "+strings.Repeat("x", 90)+"\r\n", n/95), n/2), 70)
	},
	"a body in pieces": func(n int) []string { return pieces(workMessage("", n), 70) },
	"messages in one":  func(n int) []string { return []string{strings.Repeat(workMessage("", 10), n/70)} },
	"messages in pieces": func(n int) []string {
		return pieces(strings.Repeat(workMessage("", 10), n/70), 7)
	},
	"empty lines":         func(n int) []string { return pieces(strings.Repeat("\r\n", n/2), 1) },
	"empty lines at once": func(n int) []string { return []string{strings.Repeat("\r\n", n/2)} },
	"pings":               func(n int) []string { return pieces(strings.Repeat("\r\n\r\n", n/4), 4) },
}

// workMessage is one with such fields, whose Content-Length comes behind them.
func workMessage(fields string, body int) string {
	return "MESSAGE sip:a@b SIP/2.0\r\n" + fields + fmt.Sprintf("l: %d\r\n\r\n", body) + strings.Repeat("x", body)
}

func pieces(text string, size int) (list []string) {
	for ; len(text) > size; text = text[size:] {
		list = append(list, text[:size])
	}
	return append(list, text)
}

// reader takes the messages of a connection, and nothing else.
type reader struct{ closed chan error }

func (reader) Message(*transport.Stream, []byte)           {}
func (reader) Unreadable(*transport.Stream, []byte, error) {}
func (r reader) Closed(_ *transport.Stream, err error)     { r.closed <- err }

// streamWork counts the work of pieces that come over a connection, one after the other.
func streamWork(t *testing.T, list []string) uint64 {
	t.Helper()
	var network transporttest.Network
	r := reader{make(chan error, 1)}
	set := transport.NewStreams(transport.StreamConfig{Frame: wire.FrameFrom, MessageTimeout: 1000 * time.Hour, IdleTimeout: 1000 * time.Hour}, r)
	defer set.Shutdown()
	set.Serve(network.Listen(coreSide), false, nil)
	conn, err := network.Dial(t.Context(), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddrPort(coreSide))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	synctest.Wait()
	before := steps.Count()
	for _, piece := range list {
		if _, err := conn.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
	taken := steps.Count() - before
	_ = conn.Close()
	if err := <-r.closed; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	return taken
}

// judge compares the work of three lengths.
func judge(t *testing.T, name string, workOf func(n int) uint64) {
	t.Helper()
	const n = 5000
	workOf(n) // tables and caches grow
	a, b, c := workOf(n), workOf(2*n), workOf(4*n)
	if each := float64(c) / (4 * n); each > mostEach {
		mostEach = each
		t.Logf("the most so far: %.1f steps for each byte, %s", each, name)
	}
	if c > b && c-b > 4*n && float64(c-b) > 2.8*float64(max(b, a+n)-a) {
		t.Errorf("%s: %d, %d, %d steps", name, a, b, c)
	}
	if c > 400*n {
		t.Errorf("%s: %d steps for %d bytes", name, c, 4*n)
	}
}

var (
	sent     int
	mostEach float64
)

// workOf counts the work of one message with such fields.
func workOf(r *rig, method, with string) uint64 {
	sent++
	id := fmt.Sprint(sent)
	base := []string{"Via: SIP/2.0/UDP " + coreAddr + ";branch=z9hG4bK" + id, "From: <sip:mallory@ims.example>;tag=a", "To: <sip:bob@ims.example>", "Call-ID: w" + id, "Max-Forwards: 70"}
	from, to := coreAddr, coreSide
	start, cseq := method+" sip:bob@ims.example SIP/2.0", "CSeq: 1 "+method
	switch method {
	case "NOTIFY":
		from, to = serverAddr, serverSide
		base[0] = "Via: SIP/2.0/UDP " + serverAddr + ";branch=z9hG4bK" + id
		base = append(base, "Event: presence", "Subscription-State: active")
	case "SUBSCRIBE":
		base = append(base, "Event: presence", "Expires: 60", "Contact: <sip:mallory@10.0.0.9>")
	case "BYE":
		base[2] += ";tag=b"
	case "200", "480": // the answer to a NOTIFY
		r.server.send(serverSide, strings.NewReplacer("Call-ID: c1", "Call-ID: w"+id, "server1", "s"+id).Replace(notify("Event: presence", "Subscription-State: active")))
		m := r.core.want("NOTIFY")
		start, cseq, base = "SIP/2.0 "+method+" x", "CSeq: 1 NOTIFY", nil
		for line := range strings.Lines(m) {
			if name, _, _ := strings.Cut(line, ":"); name == "Via" || name == "From" || name == "To" || name == "Call-ID" {
				base = append(base, strings.TrimSpace(line))
			}
		}
	}
	text := start + "\r\n" + strings.Join(append(base, cseq), "\r\n") + "\r\n" + with + "\r\n"
	before := steps.Count()
	socket := r.core
	if from == serverAddr {
		socket = r.server
	}
	_, _ = socket.conn.WriteTo([]byte(text), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	synctest.Wait()
	taken := steps.Count() - before
	for _, p := range []*peer{r.core, r.server} { // nothing is left for the next one
		for p.poll() != "" {
		}
	}
	return taken
}
