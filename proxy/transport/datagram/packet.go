package datagram

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"rewatch/proxy/transport/netaddr"
)

const (
	// BatchSize is how many datagrams are read or written with one system call.
	BatchSize = 32
	// MaxDatagram is the largest datagram that is taken (RFC 3261 18.1.1).
	MaxDatagram = 65535
	// SocketBuffer is asked of the kernel for each direction; it holds the burst
	// that arrives while the reader is away.
	SocketBuffer = 4 << 20
)

var (
	// ErrUnreachable is told of a datagram that the network sent back (ICMP).
	ErrUnreachable = errors.New("refused by the network (ICMP)")
	// ErrTooLong is told of a datagram that is longer than UDP, or the way, can carry.
	ErrTooLong = errors.New("datagram too long")
)

// Packet is a datagram socket with batched reading and writing. One goroutine
// may read; any number may write.
type Packet struct {
	conn  net.PacketConn
	local netip.AddrPort
	// OnRefused, if set before the first Serve or Send, is told of each datagram that was not
	// sent or came back, and why: ErrUnreachable with the first bytes, as many as the kernel
	// kept, or the kernel's error with all bytes, by the goroutine that sends. It must not keep
	// the payload. If the socket has no room at the moment, the datagram is lost without a call.
	OnRefused func(to netip.AddrPort, payload []byte, err error)
	// Single, if set before the first Send, sends every datagram by itself, never in one piece
	// with others.
	Single bool
	// Own, if set before the first Send, is the address that datagrams without an address are
	// sent from, if the socket is bound to all addresses: the one that neighbours know. While
	// the host does not have it, as with a virtual address of another host, the system chooses.
	Own netip.Addr
	batcher
	closer io.Closer
	poller *Poller // that reads it, if there is one

	mu       sync.Mutex
	drops    uint64 // all that were counted
	lastDrop uint32 // what the kernel said then
}

// NewPacket wraps a socket. A *net.UDPConn gets large kernel buffers and batches.
func NewPacket(conn net.PacketConn) (*Packet, error) {
	p := &Packet{conn: conn, closer: conn, local: netaddr.Of(conn.LocalAddr())}
	if err := p.init(conn); err != nil {
		return nil, err
	}
	if udp, ok := conn.(*net.UDPConn); ok {
		// The host may give less; Buffers tells the sizes.
		_ = udp.SetReadBuffer(SocketBuffer)
		_ = udp.SetWriteBuffer(SocketBuffer)
		if receive, send, ok := p.buffers(); ok && min(receive, send) < SocketBuffer {
			p.resize(SocketBuffer)
		}
	}
	return p, nil
}

// Buffers are the sizes of the kernel's buffers, in bytes. false: not known.
func (p *Packet) Buffers() (receive, send int, ok bool) { return p.buffers() }

// Drops counts the datagrams that the kernel dropped because they were not read in time. If the
// system does not tell, it is 0.
func (p *Packet) Drops() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now, ok := p.dropped(); ok {
		p.drops += uint64(now - p.lastDrop)
		p.lastDrop = now
	}
	return p.drops
}

// Local is the address that the socket is bound to.
func (p *Packet) Local() netip.AddrPort { return p.local }

// Close ends the socket; a blocked Serve returns net.ErrClosed, and so does that of
// its Poller.
func (p *Packet) Close() error {
	if p.poller != nil {
		p.poller.Close()
	}
	return p.closer.Close()
}

// Inbox holds the datagrams of one batch. It belongs to one reader.
type Inbox struct {
	n    int
	bufs [][]byte
	lens []int
	from []netip.AddrPort
	at   []netip.Addr // to which address of ours each was sent; invalid: the socket has only one
	sys  inboxSys
}

// stride is the distance between two buffers. If it were near a power of two, the beginnings of
// all buffers, which is all that most datagrams fill, would share a few sets of the processor's
// caches and evict each other.
const stride = MaxDatagram + 1 + 27*64

// NewInbox makes the buffers of a batch: 2 MiB.
func NewInbox() *Inbox {
	in := &Inbox{bufs: make([][]byte, BatchSize), lens: make([]int, BatchSize), from: make([]netip.AddrPort, BatchSize), at: make([]netip.Addr, BatchSize)}
	mem := make([]byte, BatchSize*stride)
	for i := range in.bufs {
		in.bufs[i] = mem[i*stride:][:MaxDatagram:MaxDatagram]
	}
	in.sys.init(in)
	return in
}

// Len is the number of datagrams.
func (in *Inbox) Len() int { return in.n }

// Datagram gives datagram i and its sender; the bytes are valid until the next batch.
func (in *Inbox) Datagram(i int) ([]byte, netip.AddrPort) { return in.bufs[i][:in.lens[i]], in.from[i] }

// At is the address of ours that datagram i was sent to, if the socket is bound to all addresses of
// the host: an answer has to be sent from there (RFC 3581 4). Else it is invalid.
func (in *Inbox) At(i int) netip.Addr { return in.at[i] }

// Outbox gathers datagrams for one Send. Datagrams are built in place: take the
// buffer with Begin, append, hand it back with Commit.
type Outbox struct {
	mem  []byte
	ends []int
	to   []netip.AddrPort
	from []netip.Addr // invalid: the system chooses
	sys  outboxSys
}

// NewOutbox makes an empty outbox. Its memory grows with the datagrams.
func NewOutbox() *Outbox {
	o := &Outbox{}
	o.sys.init()
	return o
}

// Begin gives the slice to append a datagram to.
func (o *Outbox) Begin() []byte { return o.mem }

// Commit takes the slice back, with the datagram appended. from is the address to send it from, if
// the socket is bound to all addresses; if it is invalid, the system chooses.
func (o *Outbox) Commit(b []byte, from netip.Addr, to netip.AddrPort) {
	o.mem = b
	o.ends = append(o.ends, len(b))
	o.to = append(o.to, to)
	o.from = append(o.from, from)
}

// Add copies a datagram in.
func (o *Outbox) Add(b []byte, to netip.AddrPort) {
	o.Commit(append(o.Begin(), b...), netip.Addr{}, to)
}

// Len is the number of datagrams gathered.
func (o *Outbox) Len() int { return len(o.ends) }

// Full tells whether it is time to send.
func (o *Outbox) Full() bool { return len(o.ends) >= BatchSize }

// Datagram gives datagram i and its destination.
func (o *Outbox) Datagram(i int) ([]byte, netip.AddrPort) { return o.datagram(i), o.to[i] }

func (o *Outbox) datagram(i int) []byte {
	from := 0
	if i > 0 {
		from = o.ends[i-1]
	}
	return o.mem[from:o.ends[i]]
}

// maxKeptOutbox bounds the memory that an outbox keeps after large datagrams.
const maxKeptOutbox = 1 << 20

func (o *Outbox) reset() {
	if cap(o.mem) > maxKeptOutbox {
		o.mem = nil
	}
	o.mem, o.ends, o.to, o.from = o.mem[:0], o.ends[:0], o.to[:0], o.from[:0]
}

// quick are the methods of *net.UDPConn that allocate nothing for an address.
type quick interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
}

// serveOneByOne, with receiveOne, and Packet.sendEach are the portable way, one datagram a call.
func serveOneByOne(conn net.PacketConn, in *Inbox, handle func() (more bool)) error {
	for {
		if err := receiveOne(conn, in); err != nil {
			return err
		}
		if !handle() {
			return nil
		}
	}
}

func receiveOne(conn net.PacketConn, in *Inbox) error {
	var n int
	var from netip.AddrPort
	var err error
	if q, ok := conn.(quick); ok {
		n, from, err = q.ReadFromUDPAddrPort(in.bufs[0])
	} else {
		var a net.Addr
		n, a, err = conn.ReadFrom(in.bufs[0])
		from = netaddr.Of(a)
	}
	if err != nil {
		return err
	}
	in.at[0] = netip.Addr{}
	in.n, in.lens[0], in.from[0] = 1, n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return nil
}

func (p *Packet) sendEach(o *Outbox) (failed int, err error) {
	q, _ := p.conn.(quick)
	for i := range o.ends {
		var e error
		if q != nil {
			_, e = q.WriteToUDPAddrPort(o.datagram(i), o.to[i])
		} else {
			_, e = p.conn.WriteTo(o.datagram(i), net.UDPAddrFromAddrPort(o.to[i]))
		}
		if e != nil {
			failed++
			err = e
			p.refused(o, i, e)
		}
	}
	o.reset()
	return failed, err
}

// refused tells OnRefused of datagram i, which the kernel did not accept.
func (p *Packet) refused(o *Outbox, i int, err error) {
	if p.OnRefused == nil || errors.Is(err, net.ErrClosed) || lacksRoom(err) {
		return
	}
	if errors.Is(err, syscall.EMSGSIZE) {
		err = ErrTooLong
	}
	p.OnRefused(o.to[i], o.datagram(i), err)
}

// lacksRoom tells whether an error is an overload, and not about one datagram or its destination.
func lacksRoom(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}
