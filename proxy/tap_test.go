package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"rewatch/dialogs"
)

// wiretap writes down what it is shown, with the first line of each message.
type wiretap struct{ seen []string }

func (w *wiretap) note(transport string, from, to netip.AddrPort, raw []byte) {
	line, _, _ := strings.Cut(string(raw), "\r\n")
	w.seen = append(w.seen, fmt.Sprintf("%s %s>%s %s", transport, from, to, line))
}

// TestTap: every message is shown once as it comes in and once as it leaves.
func TestTap(t *testing.T) {
	var tap wiretap
	shown := func(r *rig, want ...string) {
		r.Helper()
		if got := strings.Join(tap.seen, "\n"); got != strings.Join(want, "\n") {
			r.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		tap.seen = nil
	}
	const message = "MESSAGE sip:bob@ims.example SIP/2.0"
	play(t, func(r *rig) {
		r.core.send(coreSide, "\n\n") // a keep-alive
		r.core.send(coreSide, request("MESSAGE", "sip:bob@ims.example", viaCore))
		r.server.send(serverSide, reply(r.server.want("MESSAGE"), "200 OK"))
		shown(r,
			"udp 10.0.0.2:5060>10.0.0.1:5060 "+message,
			"udp 10.1.0.1:5062>10.1.0.2:5070 "+message,
			"udp 10.1.0.2:5070>10.1.0.1:5062 SIP/2.0 200 OK",
			"udp 10.0.0.1:5060>10.0.0.2:5060 SIP/2.0 200 OK")

		x := r.dial("10.0.0.2", coreSide)
		x.send(request("MESSAGE", "sip:bob@ims.example", viaTCP("m1")))
		r.server.send(serverSide, reply(r.server.want("MESSAGE"), "200 OK"))
		peer := x.conn.LocalAddr().String()
		shown(r,
			"tcp "+peer+">10.0.0.1:5060 "+message,
			"udp 10.1.0.1:5062>10.1.0.2:5070 "+message,
			"udp 10.1.0.2:5070>10.1.0.1:5062 SIP/2.0 200 OK",
			"tcp 10.0.0.1:5060>"+peer+" SIP/2.0 200 OK")

		r.core.send(coreSide, request("MESSAGE", "sip:bob@ims.example", viaCore, "Max-Forwards: 0"))
		shown(r,
			"udp 10.0.0.2:5060>10.0.0.1:5060 "+message,
			"udp 10.0.0.1:5060>10.0.0.2:5060 SIP/2.0 483 Too Many Hops")

		own := []byte(crlf(request("OPTIONS", "sip:core", viaCore)))
		if err := r.s.Own.Send(dialogs.Core, coreHop("udp", netip.MustParseAddrPort(coreAddr)), own, false); err != nil {
			r.Fatal(err)
		}
		shown(r, "udp 10.0.0.1:5060>10.0.0.2:5060 OPTIONS sip:core SIP/2.0")
	}, func(c *Config) { c.Tap = tap.note })
}
