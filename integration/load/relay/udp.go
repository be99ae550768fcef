package main

import (
	"context"
	"net"
	"net/netip"
	"sync"

	"rewatch/proxy/transport/datagram"
)

// relayUDP sends what comes in on one side from the other side's socket.
func relayUDP(ctx context.Context, core, server side) error {
	a, err := open(core.listen)
	if err != nil {
		return err
	}
	b, err := open(server.listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() {
		_ = a.Close()
		_ = b.Close()
	})
	var both sync.WaitGroup
	both.Go(func() { pump(a, b, server.peer) })
	both.Go(func() { pump(b, a, core.peer) })
	both.Wait()
	return nil
}

func open(local netip.AddrPort) (*datagram.Packet, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(local))
	if err != nil {
		return nil, err
	}
	p, err := datagram.NewPacket(conn)
	if err == nil {
		p.Single = true // plain recvmmsg(2) and sendmmsg(2)
	}
	return p, err
}

func pump(from, by *datagram.Packet, to netip.AddrPort) {
	in, out := datagram.NewInbox(), datagram.NewOutbox()
	_ = from.Serve(in, func() bool {
		for i := range in.Len() {
			b, _ := in.Datagram(i)
			out.Add(b, to)
		}
		_, _ = by.Send(out)
		return true
	})
}
