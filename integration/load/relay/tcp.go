package main

import (
	"context"
	"net"
	"sync"
)

const buffer = 256 << 10

// relayTCP joins every connection to one of its own to the other side's peer.
func relayTCP(ctx context.Context, core, server side) error {
	var both sync.WaitGroup
	for _, way := range []struct {
		from side
		to   side
	}{{core, server}, {server, core}} {
		l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(way.from.listen))
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = l.Close() })
		both.Go(func() { accept(ctx, l, way.to) })
	}
	both.Wait()
	return nil
}

func accept(ctx context.Context, l *net.TCPListener, to side) {
	for {
		in, err := l.AcceptTCP()
		if err != nil {
			return
		}
		out, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(to.peer))
		if err != nil {
			_ = in.Close()
			continue
		}
		context.AfterFunc(ctx, func() {
			_ = in.Close()
			_ = out.Close()
		})
		go carry(in, out)
		go carry(out, in)
	}
}

// carry copies one direction. One read and one write of all that is there costs
// less than splice, which takes two system calls as well and moves single pages.
func carry(from, to *net.TCPConn) {
	b := make([]byte, buffer)
	for {
		n, err := from.Read(b)
		if err != nil {
			_ = to.CloseWrite()
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			_ = from.CloseRead()
			return
		}
	}
}
