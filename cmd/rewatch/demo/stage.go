package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"rewatch/integration/peers"
)

const (
	aliceAOR = "sip:alice@ims.example"
	bobAOR   = "sip:bob@ims.example"
	carolAOR = "sip:carol@ims.example"
)

// stage is everything that takes part: the peers, rewatch between them, and
// those who take notes.
type stage struct {
	ladder *ladder
	flow   *flow
	seen   *record
	alarms *alarmSink

	core       *peers.Core
	server     *peers.PresenceServer
	alice, bob *peers.Phone
	dora       *peers.Phone
	rewatch    *instance
	keeper     *instance // with redelivery
	out        time.Time // when Dora left the tunnel

	checks []check
}

// openStage starts the peers and rewatch, and returns when rewatch is ready.
func openStage(ctx context.Context, l *ladder, opts options) (*stage, error) {
	st := &stage{ladder: l, flow: newFlow(l, opts.verbose), seen: new(record)}
	err := st.open(ctx)
	if err != nil {
		st.close()
		return nil, err
	}
	return st, nil
}

func (st *stage) open(ctx context.Context) error {
	trace := func(p peers.Passed) {
		st.seen.trace(p)
		st.flow.trace(p)
	}
	var err error
	if st.alarms, err = startAlarmSink(st.flow); err != nil {
		return err
	}
	if st.server, err = peers.StartPresenceServer(peers.ServerConfig{Trace: trace}); err != nil {
		return err
	}
	st.flow.place(st.server.Addr(), laneServer)
	if st.core, err = peers.StartCore(peers.CoreConfig{Domain: "ims.example", Trace: trace}); err != nil {
		return err
	}
	st.flow.place(st.core.Addr(), laneCore)
	if st.alice, err = st.phone(aliceAOR, trace); err != nil {
		return err
	}
	if st.bob, err = st.phone(bobAOR, trace); err != nil {
		return err
	}
	if st.dora, err = st.phone(doraAOR, trace); err != nil {
		return err
	}
	if st.rewatch, err = startSidecar(ctx, st.core.Addr(), st.server.URI(), st.alarms.url(), shortTimers); err != nil {
		return err
	}
	if st.keeper, err = startSidecar(ctx, st.core.Addr(), st.server.URI(), st.alarms.url(), append(keeping, shortTimers...)); err != nil {
		return err
	}
	st.core.SetAS(st.rewatch.coreSide)
	if err := st.rewatch.ready(ctx); err != nil {
		return err
	}
	return st.keeper.ready(ctx)
}

func (st *stage) phone(user string, trace peers.Trace) (*peers.Phone, error) {
	p, err := peers.StartPhone(peers.PhoneConfig{AOR: user, Core: st.core.Addr(), Trace: trace})
	if err == nil {
		st.flow.place(p.Addr(), lanePhone)
	}
	return p, err
}

// close stops rewatch first, so that its drain finds its neighbours alive.
func (st *stage) close() {
	for _, r := range []*instance{st.rewatch, st.keeper} {
		if r != nil {
			r.stop()
		}
	}
	for _, p := range []*peers.Phone{st.alice, st.bob, st.dora} {
		if p != nil {
			p.Close()
		}
	}
	if st.core != nil {
		st.core.Close()
	}
	if st.server != nil {
		st.server.Close()
	}
	if st.alarms != nil {
		st.alarms.close()
	}
	st.flow.close()
}

// until waits for a fact.
func (st *stage) until(ctx context.Context, what string, fact func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !fact() {
		select {
		case <-tick.C:
		case <-st.rewatch.ended:
			return fmt.Errorf("rewatch stopped: %w", st.rewatch.err)
		case <-st.keeper.ended:
			return fmt.Errorf("rewatch stopped: %w", st.keeper.err)
		case <-ctx.Done():
			return errors.New("never came: " + what)
		}
	}
	return nil
}

// freePorts finds ports on loopback that are free for UDP and TCP. Another
// process may take one before it is used; then rewatch says so.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		tcp, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer tcp.Close() //nolint:errcheck // nothing was written
		port := tcp.Addr().(*net.TCPAddr).Port
		udp, err := net.ListenPacket("udp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)).String()) //nolint:gosec // a port
		if err != nil {
			return nil, err
		}
		defer udp.Close() //nolint:errcheck // nothing was written
		ports = append(ports, port)
	}
	return ports, nil
}
