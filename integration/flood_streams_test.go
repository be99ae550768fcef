//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Idlers are many TCP connections that bring nothing: each has a manner of its own
// to take long. One that rewatch closes comes again at once.
type idlers struct {
	target string
	hosts  []string // that they come from
	// opened is how many were opened in all, most how many stood at a time.
	opened, most atomic.Int64
	standing     atomic.Int64
}

// manners say what a connection sends first, and then with every second.
var manners = []struct{ first, then string }{
	{"", ""}, // says nothing at all
	{"SUBSCRIBE sip:bob@ims.example SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK", "x"},           // a header without end
	{"MESSAGE sip:bob@ims.example SIP/2.0\r\nContent-Length: 200000\r\n\r\n", "0123456789abcdef"}, // a body that does not come
	{"", "\r\n\r\n"}, // asks for pongs only
	{"", "M"},        // one byte a second, from the first on
	{hello, ""},      // speaks once, and stays
	{many, ""},       // has much to ask, and reads no answer
}

const hello = "OPTIONS sip:bob@ims.example SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKcrowd\r\nMax-Forwards: 70\r\n" +
	"From: <sip:crowd@ims.example>;tag=c\r\nTo: <sip:bob@ims.example>\r\nCall-ID: crowd\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"

var many = strings.Repeat(hello, 16)

// gather opens so many connections and keeps them busy until ctx ends.
func (c *idlers) gather(ctx context.Context, count int) {
	var all sync.WaitGroup
	const each = 50 // a goroutine looks after these
	for first := 0; first < count; first += each {
		all.Go(func() { c.tend(ctx, first, min(each, count-first)) })
	}
	all.Wait()
}

func (c *idlers) tend(ctx context.Context, first, count int) {
	conns := make([]net.Conn, count)
	defer func() {
		for _, conn := range conns {
			c.close(conn)
		}
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		for i := range conns {
			conns[i] = c.nudge(ctx, first+i, conns[i])
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// nudge lets a connection say a little more, or opens it.
func (c *idlers) nudge(ctx context.Context, i int, conn net.Conn) net.Conn {
	manner := manners[i%len(manners)]
	if conn == nil {
		return c.open(ctx, c.hosts[i%len(c.hosts)], manner.first)
	}
	var err error
	if manner.then != "" {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Millisecond))
		_, err = fmt.Fprint(conn, manner.then)
	} else {
		_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err = conn.Read(make([]byte, 1))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return conn
	}
	c.close(conn)
	return nil
}

func (c *idlers) open(ctx context.Context, from, says string) net.Conn {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(ctx, "tcp4", c.target)
	if err != nil {
		return nil
	}
	c.opened.Add(1)
	c.most.Store(max(c.most.Load(), c.standing.Add(1)))
	_, _ = fmt.Fprint(conn, says)
	return conn
}

func (c *idlers) close(conn net.Conn) {
	if conn != nil {
		c.standing.Add(-1)
		_ = conn.Close()
	}
}
