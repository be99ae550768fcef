package proxy

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/rs/zerolog"

	dialogsmonitor "rewatch/dialogs/monitor"
)

// ours stands for our Via in the responses of FuzzResponse.
const ours = "VIA-OF-REWATCH"

// FuzzResponse lets anything come as the response to a request that has passed: a
// NOTIFY of the server, or a SUBSCRIBE of the core. What leaves is that without our
// Via, or an answer of ours to the request, and no record stays.
func FuzzResponse(f *testing.F) {
	const rest = "From: <sip:a@ims.example>;tag=a\r\nTo: <sip:b@ims.example>;tag=b\r\nCall-ID: c1\r\n"
	for _, status := range []string{"200 OK", "481 Gone", "503 Busy\r\nRetry-After: 5", "100 Trying", "408 ", "999 No", "302 Moved\r\nContact: <sip:x>"} {
		for _, via := range []string{"Via: " + ours + "\r\nVia: ", "v: " + ours + ",\r\n ", "Via: " + ours + ";x=\"\\\",\", "} {
			f.Add([]byte("SIP/2.0 "+status+"\r\n"+via+viaServer+"\r\n"+rest+"CSeq: 1 NOTIFY\r\nContent-Length: 0\r\n\r\n"), true)
			f.Add([]byte("SIP/2.0 "+status+"\r\n"+via+viaCore+"\r\n"+rest+"CSeq: 1 SUBSCRIBE\r\nExpires: 60\r\n\r\nbody"), false)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, toNotify bool) {
		var left leaving
		play(t, func(r *rig) {
			asker, asked, in, back := r.core, r.server, coreSide, serverSide
			request := request("SUBSCRIBE", "sip:bob@ims.example", viaCore, "Event: presence", "Expires: 600")
			if toNotify {
				asker, asked, in, back = r.server, r.core, serverSide, coreSide
				request = notify("Event: presence", "Subscription-State: active;expires=60")
			}
			asker.send(in, request)
			_, via, _ := bytes.Cut([]byte(asked.want("")), []byte("\r\nVia: "))
			via, _, _ = bytes.Cut(via, []byte("\r\n"))
			raw = bytes.ReplaceAll(raw, []byte(ours), via)
			r.tap(&left)
			_, _ = asked.conn.WriteTo(raw, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(back)))
			r.pass(4 * time.Minute)
			left.gather()
			for i, out := range left.sent {
				r.explained(out, append(left.sent[:i:i], raw, []byte(crlf(request)))...)
			}
			if n := r.s.table.Len() + r.s.parking.len(); n != 0 {
				r.Fatalf("%d requests are remembered for ever", n)
			}
		}, func(c *Config) {
			c.Resolver = &someNames{}
			c.Monitor = dialogsmonitor.New(dialogsmonitor.NewTable(dialogsmonitor.Config{SignalNotify: true}, nil), keen{}, zerolog.Nop(), nil)
		}, left.refused)
	})
}
