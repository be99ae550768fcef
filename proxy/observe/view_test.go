package observe

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/draft"
	"rewatch/proxy/route"
)

var (
	fromCore   = From{Side: dialogs.Core, Addr: netip.MustParseAddrPort("192.0.2.1:40000"), Transport: "tcp", Stream: true}
	fromServer = From{Side: dialogs.Server, Addr: netip.MustParseAddrPort("192.0.2.2:5070"), Transport: "udp", Local: 3}
)

// message makes a draft of a head without its common fields.
func message(t *testing.T, start, method, more string) *draft.Draft {
	t.Helper()
	via := "192.0.2.1:5080;branch=z9hG4bK1"
	if strings.HasPrefix(method, "NOTIFY") {
		via += ";rport"
	}
	d := &draft.Draft{Seed: maphash.MakeSeed()}
	raw := fmt.Sprintf("%s\nVia: SIP/2.0/UDP %s\nFrom: \"A\" <sip:alice@ims.example>;tag=f\nTo: <sip:bob@ims.example>;tag=t\nCall-ID: c1\nCSeq: 7 %s\n%sContent-Length: 0\n\n", start, via, method, more)
	if !d.Load([]byte(strings.ReplaceAll(raw, "\n", "\r\n"))) {
		t.Fatalf("not read: %.200q", raw)
	}
	return d
}

// TestView tells what a Monitor is shown of each kind of message, and what it is not: of a
// response nothing that its request has said, of a NOTIFY the Contact of the phone.
func TestView(t *testing.T) {
	type shown struct {
		Source, Event, Contacts, Identities, Associated, Agent, URI string

		Expires, Left, Status     int
		Parcel, Differs, NotNamed bool
	}
	for name, c := range map[string]struct {
		start, method, more string
		from                From
		want                shown
	}{
		"SUBSCRIBE": {
			"SUBSCRIBE sip:bob@ims.example SIP/2.0", "SUBSCRIBE", "Event: presence;id=4\nContact: <sip:a@1>, <sip:a@2>\n" +
				"P-Asserted-Identity: <sip:alice@ims.example>, <tel:+4930>\nUser-Agent: phone/1\nExpires: 600\n", fromCore,
			shown{Source: "192.0.2.1:5080", Event: "presence 4", Contacts: "sip:a@1", Identities: "sip:alice@ims.example tel:+4930", Agent: "phone/1", URI: "sip:bob@ims.example", Expires: 600, Left: -1, Differs: true},
		},
		"SUBSCRIBE that nobody vouches for": {
			"SUBSCRIBE sip:bob@ims.example SIP/2.0", "SUBSCRIBE", "Event: presence\n", fromCore,
			shown{Source: "192.0.2.1:5080", Event: "presence ", URI: "sip:bob@ims.example", Expires: -1, Left: -1, Differs: true, NotNamed: true},
		},
		"SUBSCRIBE of the server's": {
			"SUBSCRIBE sip:list@ims.example SIP/2.0", "SUBSCRIBE", "Event: presence\n", fromServer,
			shown{Source: "192.0.2.2:5080", Event: "presence ", URI: "sip:list@ims.example", Expires: -1, Left: -1, Differs: true},
		},
		"NOTIFY": {
			"NOTIFY sip:alice@10.0.0.1;ob SIP/2.0", "NOTIFY", "Event: presence\nSubscription-State: active;expires=59\nContact: <sip:server>\n" +
				"P-Asserted-Identity: <sip:bob@ims.example>\nUser-Agent: presence\n", fromServer,
			shown{Source: "192.0.2.2:5070", Event: "presence ", Contacts: "sip:alice@10.0.0.1;ob", Expires: -1, Left: 59, Parcel: true, Differs: true},
		},
		"NOTIFY of the core's": {
			"NOTIFY sip:x SIP/2.0", "NOTIFY", "Event: presence\nSubscription-State: active;expires=59\n", fromCore,
			shown{Source: "192.0.2.1:5080", Event: "presence ", URI: "sip:x", Expires: -1, Left: -1, Differs: true},
		},
		"REGISTER": {
			"REGISTER sip:as SIP/2.0", "REGISTER", "Contact: <sip:a@1>, <sip:a@2>;expires=0\nContact: *\nP-Associated-URI: <tel:+4930>\n", fromCore,
			shown{Source: "192.0.2.1:5080", Event: " ", Contacts: "sip:a@1 sip:a@2 *", Associated: "tel:+4930", URI: "sip:as", Expires: -1, Left: -1, Differs: true},
		},
		"200 to a REGISTER": {
			"SIP/2.0 200 OK", "REGISTER", "Contact: <sip:a@1>;expires=5, <sip:a@2>\nExpires: 30\n", fromServer,
			shown{Source: "192.0.2.2:5070", Event: " ", Contacts: "sip:a@1 sip:a@2", Expires: 30, Left: -1, Status: 200},
		},
		"200 to a SUBSCRIBE": {
			"SIP/2.0 200 OK", "SUBSCRIBE", "Contact: <sip:server>\nEvent: presence\nExpires: 30\n", fromServer,
			shown{Source: "192.0.2.2:5070", Event: " ", Expires: 30, Left: -1, Status: 200},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := New(NewNamers(ByAssertion, nil))
			m := message(t, c.start, c.method, c.more)
			v := o.View(m, c.from, time.Unix(9, 0), true)
			if got := fmt.Sprintf("%s %d %s %s %s %s %v %d %s", v.CallID, v.CSeq, v.FromURI, v.FromTag, v.ToURI, v.ToTag, v.Side, v.At.Unix(), v.Transport); got !=
				fmt.Sprintf("c1 7 sip:alice@ims.example f sip:bob@ims.example t %v 9 %s", c.from.Side, c.from.Transport) {
				t.Errorf("dialog: %s", got)
			}
			var contacts [][]byte
			for _, contact := range v.Contacts {
				contacts = append(contacts, contact.URI)
			}
			join := func(list [][]byte) string { return string(bytes.Join(list, []byte(" "))) }
			got := shown{
				v.Source.String(), fmt.Sprintf("%s %s", v.Event.Package, v.Event.ID), join(contacts), join(v.Identities), join(v.Associated),
				string(v.UserAgent), string(v.RequestURI), v.Expires, v.State.Expires, v.Status, v.Parcel.Raw != nil, v.IdentityDiffers, v.Unasserted,
			}
			if got != c.want {
				t.Errorf("shown %+v,\nwant  %+v", got, c.want)
			}
			if v.Parcel.Raw != nil && (!bytes.Equal(v.Parcel.Raw, m.Msg.Raw) || v.Parcel.From != c.from.Addr || v.Parcel.Local != c.from.Local) {
				t.Errorf("parcel: %+v", v.Parcel)
			}
		})
	}
}

// TestObserverKeepsNoLargeMessage looks at the room for a REGISTER of two thousand Contacts
// and identities.
func TestObserverKeepsNoLargeMessage(t *testing.T) {
	o := New(NewNamers(ByHop, nil))
	many := "Contact: " + strings.Repeat("<sip:a@1>, ", 1999) + "<sip:a@1>\n"
	if n := len(o.View(message(t, "REGISTER sip:as SIP/2.0", "REGISTER", many), fromCore, time.Now(), false).Contacts); n != 2000 {
		t.Fatalf("%d Contacts", n)
	}
	if o.Trim(); o.contacts != nil {
		t.Errorf("room for %d Contacts is kept", cap(o.contacts))
	}
	if few := New(NewNamers(ByHop, nil)); len(few.View(message(t, "REGISTER sip:as SIP/2.0", "REGISTER", "Contact: <sip:a@1>\n"), fromCore, time.Now(), false).Contacts) == 1 {
		if few.Trim(); few.contacts == nil {
			t.Error("room for one Contact is given back")
		}
	}
}

// TestNamers: by hop, a neighbour that has asserted an identity once vouches from then on,
// and From is nobody's word behind it; before that From is believed, which is told once.
func TestNamers(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	alice := [][]byte{[]byte("sip:alice@ims.example")}
	for name, c := range map[string]struct {
		rule     Naming
		restored []netip.Addr
		says     []string // neighbour, and + where it asserts
		want     []string // named, unasserted
		told     string   // believed, then learnt
		believed bool     // in the end
	}{
		"by From":                  {rule: ByFrom, says: []string{"a+", "a"}, want: []string{"0 false", "0 false"}, believed: true},
		"by assertion":             {rule: ByAssertion, says: []string{"a", "a+", "b"}, want: []string{"0 true", "1 false", "0 true"}},
		"by hop, never asserted":   {rule: ByHop, says: []string{"a", "a", "b"}, want: []string{"0 false", "0 false", "0 false"}, told: "believed a believed b", believed: true},
		"by hop, asserted first":   {rule: ByHop, says: []string{"a+", "a", "a+"}, want: []string{"1 false", "0 true", "1 false"}, told: "learnt a"},
		"by hop, asserted later":   {rule: ByHop, says: []string{"a", "a+", "a"}, want: []string{"0 false", "1 false", "0 true"}, told: "believed a learnt a"},
		"by hop, each for itself":  {rule: ByHop, says: []string{"a+", "b", "a"}, want: []string{"1 false", "0 false", "0 true"}, told: "learnt a believed b", believed: true},
		"by hop, after a restart":  {rule: ByHop, restored: []netip.Addr{a}, says: []string{"a", "b"}, want: []string{"0 true", "0 false"}, told: "believed b", believed: true},
		"by hop, asserted nothing": {rule: ByHop, says: []string{"a-"}, want: []string{"1 false"}, told: "believed a", believed: true},
	} {
		t.Run(name, func(t *testing.T) {
			var told []string
			tell := func(what string) func(netip.Addr) {
				return func(n netip.Addr) { told = append(told, what+" "+map[netip.Addr]string{a: "a", b: "b"}[n]) }
			}
			n := NewNamers(c.rule, tell("believed"))
			n.Learnt = tell("learnt")
			for _, r := range c.restored {
				if !n.Restore(r) {
					t.Error("no room")
				}
			}
			var got []string
			for _, s := range c.says {
				var identities [][]byte
				switch s[1:] {
				case "+":
					identities = alice
				case "-":
					identities = [][]byte{[]byte("nobody")}
				}
				named, unasserted := n.of(map[byte]netip.Addr{'a': a, 'b': b}[s[0]], identities)
				got = append(got, fmt.Sprint(len(named), " ", unasserted))
			}
			if !slices.Equal(got, c.want) || strings.Join(told, " ") != c.told || n.FromBelieved() != c.believed {
				t.Errorf("%v, told %v, From believed: %v; want %v, %q, %v", got, told, n.FromBelieved(), c.want, c.told, c.believed)
			}
		})
	}
}

// TestNamersAreBounded: whoever comes too late is not remembered, and believed each time.
func TestNamersAreBounded(t *testing.T) {
	n := NewNamers(ByHop, nil)
	addr := netip.MustParseAddr("10.0.0.1")
	for range maxNamers {
		if !n.Restore(addr) {
			t.Fatal("no room")
		}
		addr = addr.Next()
	}
	n.of(addr, [][]byte{[]byte("sip:alice@ims.example")})
	if n.Restore(addr) || len(n.asserts) != maxNamers {
		t.Errorf("%d are remembered", len(n.asserts))
	}
}

// TestMark: the Record-Route of a SUBSCRIBE says whether From is not who watches, whether a
// Monitor has been shown it before or not.
func TestMark(t *testing.T) {
	for name, c := range map[string]struct {
		method, more string
		from         From
		want         string
	}{
		"itself":             {"SUBSCRIBE", "P-Asserted-Identity: <sip:alice@ims.example>\n", fromCore, ""},
		"one of its own":     {"SUBSCRIBE", "P-Asserted-Identity: <tel:+4930>, <sip:alice@ims.example>\n", fromCore, ""},
		"another":            {"SUBSCRIBE", "P-Asserted-Identity: <sip:carol@ims.example>\n", fromCore, "=" + route.IdentityMark},
		"nobody":             {"SUBSCRIBE", "", fromCore, "=" + route.IdentityMark},
		"the server's":       {"SUBSCRIBE", "", fromServer, ""},
		"not for SUBSCRIBEs": {"NOTIFY", "", fromCore, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := message(t, c.method+" sip:bob@ims.example SIP/2.0", c.method, "Event: presence\n"+c.more)
			for _, shown := range []bool{false, true} {
				o := New(NewNamers(ByAssertion, nil))
				o.Next()
				if shown {
					o.View(m, c.from, time.Now(), false)
				}
				if got := o.Mark(&m.Msg, c.from); got != c.want {
					t.Errorf("shown before: %v: %q, want %q", shown, got, c.want)
				}
			}
		})
	}
}
