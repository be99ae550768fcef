package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	tryTimeout = time.Second
	tries      = 2
	// udpSize is the longest answer over UDP (EDNS0, RFC 6891). It is never fragmented.
	udpSize = 1232
	// tcpSize bounds an answer over TCP.
	tcpSize = 16 << 10
)

// System asks the name servers of /etc/resolv.conf, after /etc/hosts. The files
// are read again for every question, because a question is rare and they change.
type System struct {
	resolvConf, hosts string
	dial              func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewSystem returns the Exchanger of this machine.
func NewSystem() *System {
	var d net.Dialer
	return &System{resolvConf: "/etc/resolv.conf", hosts: "/etc/hosts", dial: d.DialContext}
}

// Exchange asks for all records of a type that a name has. A short name is
// completed by the search list, as every program on this machine would do it.
func (s *System) Exchange(ctx context.Context, name string, typ dnsmessage.Type) ([]Record, error) {
	if records, ok := lookupHosts(s.read(s.hosts), name, typ); ok {
		if len(records) == 0 {
			return nil, ErrNoRecord
		}
		return records, nil
	}
	conf := parseConf(s.read(s.resolvConf))
	err := ErrNoRecord
	for _, full := range conf.candidates(name) {
		var records []Record
		if records, err = s.query(ctx, conf.servers, full, typ); err == nil {
			return records, nil
		}
		if !errors.Is(err, ErrNoRecord) {
			return nil, err
		}
	}
	return nil, err
}

// read gives the text of a file, empty if it cannot be read.
func (s *System) read(path string) string {
	b, err := os.ReadFile(path) //nolint:gosec // the resolver's own files, or those of a test
	if err != nil {
		return ""
	}
	return string(b)
}

// query asks the servers in turn.
func (s *System) query(ctx context.Context, servers []string, name string, typ dnsmessage.Type) (records []Record, err error) {
	q, err := newQuestion(name, typ)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRecord, err)
	}
	for range tries {
		for _, server := range servers {
			records, err = s.once(ctx, server, q)
			if err == nil || errors.Is(err, ErrNoRecord) {
				return records, err
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	return nil, fmt.Errorf("query %s %s: %w", name, typ, err)
}

// once asks one server over UDP, and over TCP if the answer was cut short.
func (s *System) once(ctx context.Context, server string, q question) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	for _, network := range []string{"udp", "tcp"} {
		records, err := s.over(ctx, network, server, q)
		if !errors.Is(err, errTruncated) {
			return records, err
		}
	}
	return nil, errTruncated
}

func (s *System) over(ctx context.Context, network, server string, q question) ([]Record, error) {
	conn, err := s.dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	msg, id, err := q.pack(uint16(rand.Uint32())) //nolint:gosec // the port is random as well
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		return overTCP(conn, msg, id, q)
	}
	return overUDP(conn, msg, id, q)
}

// overUDP takes the first datagram that answers the question. Others may be late or forged.
func overUDP(conn net.Conn, msg []byte, id uint16, q question) ([]Record, error) {
	if _, err := conn.Write(msg); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		records, err := q.parse(buf[:n], id)
		if !errors.Is(err, errNotOurs) {
			return records, err
		}
	}
}

func overTCP(conn net.Conn, msg []byte, id uint16, q question) ([]Record, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(msg)+2), uint16(len(msg))) //nolint:gosec // a question is short
	if _, err := conn.Write(append(framed, msg...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > tcpSize {
		return nil, fmt.Errorf("answer of %d bytes", n)
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	return q.parse(buf, id)
}

// absolute is a name with the final dot.
func absolute(name string) string { return strings.TrimSuffix(name, ".") + "." }
