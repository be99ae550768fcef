package transport

import (
	"crypto/tls"
	"net"
	"sync/atomic"
)

// Secure gives a listener that does TLS and bounds what a peer can have it keep. Who accepts its
// connections tells of data by Said; Streams do.
func Secure(l net.Listener, cfg *tls.Config) net.Listener {
	return tls.NewListener(frugalListener{l}, cfg)
}

// frugalListener accepts connections that are frugal.
type frugalListener struct{ net.Listener }

func (l frugalListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &frugal{Conn: conn}, nil
}

// frugal is the connection below TLS. Package crypto/tls keeps a message of its own, such as a
// certificate, until it is complete, in a buffer that grows to twice its 256 KiB; a peer can leave
// one incomplete at any time. So frugal bounds the bytes that a peer sends without any data for us
// among them, and has the account of incomplete messages count what they use.
type frugal struct {
	net.Conn
	set *Streams // nil: nobody counts, and each has the floor
	// taken is the number of these bytes, counted what the account has of them.
	taken, counted atomic.Int64
}

const (
	// maxUnsaid bounds them; unsaidFloor, more than the longest record, each may have. They use
	// unsaidCost times their number. The first unsaidFree are not counted: nearly all handshakes
	// need no more.
	maxUnsaid   = 64 << 10
	unsaidFloor = 20 << 10
	unsaidCost  = 3
	unsaidFree  = 4 << 10
)

// Said notes that data has come by a connection of Secure: its peer may send as much again.
func Said(conn net.Conn) {
	if f := frugalOf(conn); f != nil {
		f.said()
	}
}

// NetConn is the connection below.
func (f *frugal) NetConn() net.Conn { return f.Conn }

// Read reads no more than the peer may send now. One goroutine reads at a time.
func (f *frugal) Read(b []byte) (int, error) {
	left := f.most() - int(f.taken.Load())
	if left <= 0 {
		if f.set != nil {
			f.set.refused(RefusedMemory)
		}
		return 0, ours(ErrCrowded)
	}
	n, err := f.Conn.Read(b[:min(len(b), left)])
	f.count(f.taken.Add(int64(n)))
	return n, err
}

func (f *frugal) most() int {
	if f.set == nil {
		return unsaidFloor
	}
	return min(maxUnsaid, max(unsaidFloor, f.set.partial.share()/unsaidCost))
}

// said notes that data has come, or that the connection has ended: nothing is incomplete now.
func (f *frugal) said() {
	f.taken.Store(0)
	f.count(0)
}

// count tells the account how much is taken.
func (f *frugal) count(taken int64) {
	now := max(0, taken-unsaidFree) * unsaidCost
	if was := f.counted.Swap(now); was != now && f.set != nil {
		f.set.partial.add(int(now - was))
	}
}

// frugalOf is the frugal connection below one by TLS; nil: there is none.
func frugalOf(conn net.Conn) *frugal {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	f, _ := secured.NetConn().(*frugal)
	return f
}
