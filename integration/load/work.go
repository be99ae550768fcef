package load

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Net says who has which address: the plan of the integration tests, in a /24 of
// 127.0.0.0/8 of its own.
type Net string

func (n Net) at(host, port int) netip.AddrPort {
	return netip.MustParseAddrPort(fmt.Sprintf("%s.%d:%d", string(n), host, port))
}

// Core is the S-CSCF, Server the presence server.
func (n Net) Core() netip.AddrPort { return n.at(20, 5060) }

// Server is the presence server.
func (n Net) Server() netip.AddrPort { return n.at(40, 5070) }

// CoreSide and ServerSide are where the system under test listens.
func (n Net) CoreSide() netip.AddrPort { return n.at(30, 5060) }

// ServerSide is where it listens for the presence server.
func (n Net) ServerSide() netip.AddrPort { return n.at(31, 5062) }

// Target describes the system under test: where it listens and what it does to a
// message that passes.
type Target struct {
	// CoreSide and ServerSide are where the core and the server send to.
	CoreSide, ServerSide netip.AddrPort
	// Transparent: it forwards bytes and does not read them.
	Transparent bool
	// OnNotify and OnSubscribe are how many Record-Routes it adds.
	OnNotify, OnSubscribe int
	// Lasts is how long subscriptions last from each of their messages on, in seconds; 0: an
	// hour.
	Lasts int
}

// work is one kind of transaction: what is sent, and what is expected.
type work struct {
	start, vias, rest template // of the request, up to From
	restAfter         []byte   // what rest looks like when it was forwarded
	tail              template // from From to the end of the body
	answer            template // of the response, from From to the end
	recordRoutes      int      // in the forwarded request
}

// texts fills the addresses of a plan into a template.
type texts struct {
	*strings.Replacer
	target Target
}

func newTexts(n Net, core netip.AddrPort, t Target, network string) texts {
	transport := ""
	if network == "tcp" {
		transport = ";transport=tcp"
	}
	return texts{target: t, Replacer: strings.NewReplacer(
		"CORE", core.String(), "SERVER", n.Server().String(),
		"PHONE", n.at(50, 5060).String(), "NODE", n.at(41, 5071).String(),
		"SIP/2.0/X", "SIP/2.0/"+strings.ToUpper(network), ";transport=x", transport,
		"MARK", branchMark, "LASTS", strconv.Itoa(cmp.Or(t.Lasts, 3600)),
	)}
}

func (x texts) compile(s string) template { return compile(x.Replace(s)) }

// rest makes the part of the head that a proxy changes: it pops its own Routes
// and counts Max-Forwards down. A transparent system leaves it alone.
func (x texts) rest(forwards int, own []string, others string) (sent template, after []byte) {
	var routes strings.Builder
	for _, r := range own {
		routes.WriteString("Route: <" + r + ">\n")
	}
	others = x.Replace(others)
	sent = compile(fmt.Sprintf("Max-Forwards: %d\n%s%s", forwards, routes.String(), others))
	if x.target.Transparent {
		return sent, sent.text
	}
	left := compile(fmt.Sprintf("Max-Forwards: %d\n%s", forwards-1, others))
	return sent, left.text
}

// newWorks makes all kinds, with the core at an address. routes is what the target put
// into the Record-Route of a SUBSCRIBE, in the order of the server's route set.
func newWorks(n Net, core netip.AddrPort, t Target, network string, routes []string) (w [kinds]work) {
	x := newTexts(n, core, t, network)
	w[Notify] = x.notify(routes)
	w[Subscribe] = x.subscribe()
	w[Register] = x.register()
	return w
}

func (x texts) notify(routes []string) work {
	if routes == nil {
		routes = []string{"sip:" + x.target.ServerSide.String() + ";lr"}
	}
	w := work{
		start: x.compile("NOTIFY sip:w{user}@PHONE;ob SIP/2.0\n"),
		vias: x.compile("Via: SIP/2.0/X SERVER;branch=MARK{seq}\n" +
			"Via: SIP/2.0/X NODE;branch=z9hG4bKnode{seq}\n"),
		tail:         x.compile(notifyTail),
		answer:       x.compile(notifyAnswer),
		recordRoutes: x.target.OnNotify,
	}
	w.rest, w.restAfter = x.rest(70, routes, "Route: <sip:CORE;lr;transport=x>\n")
	return w
}

func (x texts) subscribe() work {
	w := work{
		start: x.compile("SUBSCRIBE sip:p{user}@ims.example SIP/2.0\n"),
		vias: x.compile("Via: SIP/2.0/X CORE;branch=MARK{seq}\n" +
			"Via: SIP/2.0/X PHONE;branch=z9hG4bKphone{seq}\n"),
		tail:         x.compile(subscribeTail),
		answer:       x.compile(subscribeAnswer),
		recordRoutes: 1 + x.target.OnSubscribe,
	}
	w.rest, w.restAfter = x.rest(69, []string{"sip:" + x.target.CoreSide.String() + ";lr"}, "")
	return w
}

func (x texts) register() work {
	w := work{
		start: x.compile("REGISTER sip:as.ims.example SIP/2.0\n"),
		vias: x.compile("Via: SIP/2.0/X CORE;branch=MARK{seq}\n" +
			"Via: SIP/2.0/X NODE;branch=z9hG4bKnode{seq}\n"),
		tail:   x.compile(registerTail),
		answer: x.compile(registerAnswer),
	}
	w.rest, w.restAfter = x.rest(70, []string{"sip:" + x.target.CoreSide.String() + ";lr"}, "")
	return w
}

// coreRecordRoute is what the core puts into a SUBSCRIBE.
const coreRecordRoute = "Record-Route: <sip:CORE;lr;transport=x>\n"

// appendRequest appends the request of a transaction. A SUBSCRIBE has passed the
// core, which wants to stay in the path.
func (w *work) appendRequest(dst []byte, t transaction, recordRoute []byte) []byte {
	dst = w.start.appendTo(dst, t)
	dst = w.vias.appendTo(dst, t)
	dst = append(dst, recordRoute...)
	dst = append(dst, w.rest.text...)
	return w.tail.appendTo(dst, t)
}
