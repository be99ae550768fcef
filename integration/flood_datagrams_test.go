//go:build integration

package integration

import (
	"bytes"
	"context"
	le "encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rewatch/proxy/transport/datagram"
)

// A flood is an endless sequence of datagrams that nobody should have to read: of
// garbage, of messages that were cut off or changed at random, of the torture
// messages of RFC 4475, of responses to requests that were never made, of
// SUBSCRIBEs and REGISTERs of users who do not exist. A seed determines it.
type flood struct {
	rng     *rand.Rand
	self    string // host:port in its Vias
	target  string
	torture [][]byte
	n       uint64
	// calm: no more SUBSCRIBEs and REGISTERs, so that they are over when it is.
	calm bool
}

func newFlood(t *testing.T, seed uint64, self, target string) *flood {
	t.Helper()
	f := &flood{rng: rand.New(rand.NewPCG(seed, 5060)), self: self, target: target}
	files, err := filepath.Glob("../proxy/wire/testdata/torture/*/*.dat")
	if err != nil || len(files) < 40 {
		t.Fatal("no torture messages: ", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte("\nRoute:")) { // nobody is to ask a name server for them
			f.torture = append(f.torture, b)
		}
	}
	return f
}

// next appends a datagram to dst.
func (f *flood) next(dst []byte) []byte {
	f.n++
	start := len(dst)
	switch p := f.rng.IntN(100); {
	case p < 30:
		return f.garbage(dst)
	case p < 45:
		dst = f.request(dst, "NOTIFY")
		return dst[:start+f.rng.IntN(len(dst)-start)]
	case p < 65:
		method := []string{"SUBSCRIBE", "PUBLISH", "MESSAGE", "INVITE"}[p%4]
		if f.calm {
			method = "OPTIONS"
		}
		dst = f.request(dst, method)
		f.spoil(dst[start:])
		return dst
	case p < 72:
		return append(dst, f.torture[f.rng.IntN(len(f.torture))]...)
	case p < 85 || f.calm:
		return f.response(dst)
	case p < 95:
		return f.request(dst, "SUBSCRIBE")
	default:
		return f.request(dst, "REGISTER")
	}
}

func (f *flood) garbage(dst []byte) []byte {
	for range 1 + f.rng.IntN(150) {
		dst = le.LittleEndian.AppendUint64(dst, f.rng.Uint64())
	}
	return dst
}

// spoil changes some bytes.
func (f *flood) spoil(b []byte) {
	for range 1 + f.rng.IntN(10) {
		b[f.rng.IntN(len(b))] = byte(f.rng.Uint32())
	}
}

// request is a whole one, of a user of its own.
func (f *flood) request(dst []byte, method string) []byte {
	return fmt.Appendf(dst, "%[1]s sip:bob@ims.example SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bKflood%[3]x\r\n"+
		"Max-Forwards: 70\r\nFrom: <sip:flood%[3]d@ims.example>;tag=f%[3]x\r\nTo: <sip:flood%[3]d@ims.example>\r\n"+
		"Call-ID: flood-%[3]x@%[2]s\r\nCSeq: 1 %[1]s\r\nContact: <sip:flood%[3]d@%[2]s>\r\nEvent: presence\r\nExpires: 5\r\n"+
		"P-Asserted-Identity: <sip:flood%[3]d@ims.example>\r\nContent-Length: 0\r\n\r\n", method, f.self, f.n)
}

// response claims to answer a request of rewatch.
func (f *flood) response(dst []byte) []byte {
	branch := fmt.Sprintf("z9hG4bKrw%c%c%024x", 'a'+f.rng.IntN(5), 'a'+f.rng.IntN(26), f.rng.Uint64())
	if f.rng.IntN(4) == 0 {
		branch = fmt.Sprintf("z9hG4bK-rewatch-ua-%024x", f.rng.Uint64())
	}
	return fmt.Appendf(dst, "SIP/2.0 %d Spoofed\r\nVia: SIP/2.0/UDP %s;branch=%s\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKx\r\n"+
		"From: <sip:bob@ims.example>;tag=1\r\nTo: <sip:alice@ims.example>;tag=2\r\nCall-ID: %x\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
		[]int{200, 481, 503, 100, 302}[f.n%5], f.target, branch, f.self, f.n, []string{"NOTIFY", "SUBSCRIBE", "MESSAGE"}[f.n%3])
}

// pour sends datagrams at a rate, a batch at a time, until there were so many. What
// comes back is not read. Where the machine is busy it takes longer; it never makes
// up for lost time by a burst.
func (f *flood) pour(ctx context.Context, count int, rate float64) (err error) {
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp4", f.self)
	if err != nil {
		return err
	}
	p, err := datagram.NewPacket(conn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	to := netip.MustParseAddrPort(f.target)
	o := datagram.NewOutbox()
	pause := time.Duration(datagram.BatchSize / rate * float64(time.Second))
	due := time.Now()
	for sent := 0; sent < count && ctx.Err() == nil; sent += datagram.BatchSize {
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		} else if wait < -10*time.Millisecond {
			due = time.Now()
		}
		due = due.Add(pause)
		f.calm = sent > count/3
		for range datagram.BatchSize {
			o.Commit(f.next(o.Begin()), netip.Addr{}, to)
		}
		_, _ = p.Send(o) // what rewatch answers to a port that is not there comes back as an error
	}
	return ctx.Err()
}

// TestFloodIsDeterministic: a failure can be had again.
func TestFloodIsDeterministic(t *testing.T) {
	a, b := newFlood(t, 7, "127.0.0.1:5060", "127.0.0.2:5060"), newFlood(t, 7, "127.0.0.1:5060", "127.0.0.2:5060")
	kinds := map[string]bool{}
	for range 2000 {
		x, y := a.next(nil), b.next(nil)
		if !bytes.Equal(x, y) {
			t.Fatal("two floods of one seed differ")
		}
		start, _, _ := strings.Cut(string(x), " ")
		kinds[start] = true
	}
	for _, kind := range []string{"SUBSCRIBE", "REGISTER", "SIP/2.0", "INVITE"} {
		if !kinds[kind] {
			t.Errorf("no %s in it", kind)
		}
	}
}
