// Command relay forwards bytes between two neighbours and reads none of them. It
// does the input and output that a proxy cannot do without, with the sockets that
// rewatch uses, and so marks the floor of what forwarding costs.
//
//	relay -network udp -core 127.0.1.30:5060 -server 127.0.1.31:5062 \
//	      -core-peer 127.0.1.20:5060 -server-peer 127.0.1.40:5070
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
)

// side is one of the two: where the relay listens, and who is its neighbour.
type side struct {
	listen, peer netip.AddrPort
}

func main() {
	network := flag.String("network", "udp", "udp or tcp")
	var core, server side
	flag.TextVar(&core.listen, "core", netip.AddrPort{}, "address on the side of the core")
	flag.TextVar(&server.listen, "server", netip.AddrPort{}, "address on the side of the server")
	flag.TextVar(&core.peer, "core-peer", netip.AddrPort{}, "the core")
	flag.TextVar(&server.peer, "server-peer", netip.AddrPort{}, "the server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	relay := relayUDP
	if *network == "tcp" {
		relay = relayTCP
	}
	if err := relay(ctx, core, server); err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to be undone
	}
}
