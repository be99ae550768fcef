package peers

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	alice = "sip:alice@ims.example"
	carol = "sip:carol@ims.example"
)

// quick makes Timer F 320 ms.
var quick = Timers{T1: 5 * time.Millisecond}

// rig is a core, a presence server and Alice's phone, with nothing in between.
type rig struct {
	core   *Core
	server *PresenceServer
	phone  *Phone

	mu  sync.Mutex
	log []Passed
}

func (r *rig) trace(p Passed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, p)
}

// count says how many traced messages fit.
func (r *rig) count(fits func(Passed) bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range r.log {
		if fits(p) {
			n++
		}
	}
	return n
}

func newRig(t *testing.T, server ServerConfig, phone PhoneConfig) *rig {
	t.Helper()
	r := new(rig)
	server.Timers, server.Trace = quick, r.trace
	var err error
	if r.server, err = StartPresenceServer(server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.server.Close)
	r.core, err = StartCore(CoreConfig{Domain: "ims.example", AS: r.server.URI(), Timers: quick, Trace: r.trace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.core.Close)
	phone.AOR, phone.Core, phone.Timers, phone.Trace = alice, r.core.Addr(), quick, r.trace
	if r.phone, err = StartPhone(phone); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.phone.Close)
	return r
}

func (r *rig) register(t *testing.T) {
	t.Helper()
	status, err := r.phone.Register(t.Context())
	if err != nil || status != 200 {
		t.Fatalf("REGISTER: %d, %v", status, err)
	}
	eventually(t, "third-party registration", func() bool { return r.server.Registered(alice) })
}

func (r *rig) subscribe(t *testing.T) {
	t.Helper()
	status, err := r.phone.Subscribe(t.Context(), carol)
	if err != nil || status != 200 {
		t.Fatalf("SUBSCRIBE: %d, %v", status, err)
	}
}

// proven waits until Alice has exactly one subscription, whose NOTIFY got through.
func (r *rig) proven(t *testing.T) Subscription {
	t.Helper()
	var sub Subscription
	eventually(t, "a subscription that works", func() bool {
		subs := r.server.Subscriptions(alice)
		if len(subs) != 1 || subs[0].LastNotify != 200 {
			return false
		}
		sub = subs[0]
		return true
	})
	return sub
}

// stranger sends one request of its own into the core, as rewatch does.
func (r *rig) stranger(t *testing.T, method sip.RequestMethod, target, body string, headers ...sip.Header) int {
	t.Helper()
	e, err := listen("stranger", "", quick, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	e.start()
	d := dialog{
		callID: newCallID(), local: uri("sip:rewatch@ims.example"), localTag: newTag(),
		remote: uri(alice), target: uri(target), routes: []sip.Uri{r.core.routeURI(false)},
	}
	req := d.request(method)
	for _, h := range headers {
		req.AppendHeader(h)
	}
	req.SetBody([]byte(body))
	res, err := e.do(t.Context(), req, hop{addr: r.core.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("never came: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, ServerConfig{}, PhoneConfig{})
	r.register(t)
	r.subscribe(t)
	r.server.Publish(carol, "open")
	eventually(t, "carol is online", func() bool { return r.phone.Status(carol) == "open" })
	sub := r.proven(t)
	if sub.Watcher != alice || sub.Resource != carol {
		t.Errorf("subscription of %s to %s", sub.Watcher, sub.Resource)
	}
	asserted := r.count(func(p Passed) bool {
		return p.Peer == "server" && p.Method == "SUBSCRIBE" && strings.Contains(p.Text, "P-Asserted-Identity: <"+alice+">")
	})
	if asserted == 0 {
		t.Error("the core did not assert the watcher's identity")
	}
	if status, err := r.phone.Unsubscribe(t.Context(), carol); err != nil || status != 200 {
		t.Fatalf("un-SUBSCRIBE: %d, %v", status, err)
	}
	eventually(t, "the end", func() bool { return len(r.server.Subscriptions("")) == 0 })
}

func TestTCP(t *testing.T) {
	t.Parallel()
	r := newRig(t, ServerConfig{}, PhoneConfig{})
	r.core.SetAS(r.server.URI() + ";transport=tcp")
	r.register(t)
	r.subscribe(t)
	r.proven(t)
	if r.count(func(p Passed) bool { return p.Peer == "server" && strings.Contains(p.Text, "SIP/2.0/TCP") }) == 0 {
		t.Error("nothing reached the server over TCP")
	}
}

func TestFailedNotify(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault Fault
		keep  bool
		last  int
		kept  bool
	}{
		{name: "responses lost", fault: LoseResponses(), last: 408},
		{name: "NOTIFY lost", fault: LoseNotify(), last: 408},
		{name: "481", fault: AnswerNotify(481, "Subscription Does Not Exist"), last: 481},
		{name: "404", fault: AnswerNotify(404, "Not Found"), last: 404},
		{name: "503", fault: AnswerNotify(503, "Service Unavailable").RetryAfter(1), last: 503, kept: true},
		{name: "481, kept", fault: AnswerNotify(481, "Gone"), keep: true, last: 481, kept: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, ServerConfig{KeepFailed: tt.keep}, PhoneConfig{})
			r.register(t)
			r.core.Break(alice, tt.fault)
			r.subscribe(t)
			if tt.kept {
				eventually(t, "outcome", func() bool {
					subs := r.server.Subscriptions(alice)
					return len(subs) == 1 && subs[0].LastNotify == tt.last
				})
				return
			}
			eventually(t, "end of the subscription", func() bool { return len(r.server.Ended()) == 1 })
			if got := r.server.Ended()[0].LastNotify; got != tt.last {
				t.Errorf("ended by %d, want %d", got, tt.last)
			}
		})
	}
}

func TestRetransmission(t *testing.T) {
	t.Parallel()
	r := newRig(t, ServerConfig{}, PhoneConfig{})
	r.register(t)
	r.core.Break(alice, LoseResponses())
	r.subscribe(t)
	eventually(t, "a lost retransmission", func() bool {
		return r.count(func(p Passed) bool { return p.Peer == "core" && p.Status == 200 && p.Lost && p.Repeat }) > 0
	})
	if n := r.phone.Notified(); n != 1 {
		t.Errorf("the phone took %d NOTIFYs, want one and its retransmissions absorbed", n)
	}
	r.core.Heal(alice)
	r.proven(t)
}

const lostBody = "Subscription lost; please subscribe again.\n" +
	"Event: presence\nResource: " + carol + "\nCall-ID: x\nCause: 408 Request Timeout\nAttempt: 1 of 3\n"

func TestMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, ServerConfig{}, PhoneConfig{})
	r.register(t)
	r.subscribe(t)
	before := r.proven(t)
	text := sip.NewHeader("Content-Type", "text/plain;charset=utf-8")
	if status := r.stranger(t, sip.MESSAGE, alice, lostBody, text); status != 200 {
		t.Fatalf("MESSAGE: %d", status)
	}
	// The server keeps the old dialog until its next NOTIFY there gets 481.
	eventually(t, "a second dialog", func() bool { return len(r.server.Subscriptions(alice)) == 2 })
	r.server.Publish(carol, "open")
	after := r.proven(t)
	if before.CallID == after.CallID {
		t.Error("subscribed again with the same Call-ID")
	}
	if got := r.phone.Messages(); !slices.Equal(got, []string{lostBody}) {
		t.Errorf("messages %q", got)
	}
}

func TestMessageIgnored(t *testing.T) {
	t.Parallel()
	r := newRig(t, ServerConfig{}, PhoneConfig{IgnoreMessage: true})
	r.register(t)
	r.subscribe(t)
	r.proven(t)
	r.stranger(t, sip.MESSAGE, alice, lostBody)
	if n := len(r.server.Subscriptions(alice)); n != 1 {
		t.Errorf("%d subscriptions, want 1", n)
	}
}

func TestRefreshAnswered481(t *testing.T) {
	t.Parallel()
	r := newRig(t, ServerConfig{}, PhoneConfig{})
	r.register(t)
	r.core.Break(alice, AnswerNotify(481, "Gone"))
	r.subscribe(t)
	eventually(t, "end of the subscription", func() bool { return len(r.server.Ended()) == 1 })
	r.core.Heal(alice)
	r.phone.Refresh()
	if r.proven(t).CallID == r.server.Ended()[0].CallID {
		t.Error("the old Call-ID came back")
	}
}

func TestThirdPartyDeregister(t *testing.T) {
	t.Parallel()
	tests := map[string]string{"contact": "", "all": "*"}
	for name, contact := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, ServerConfig{}, PhoneConfig{})
			r.register(t)
			bound := r.core.Bindings(alice)
			if len(bound) != 1 {
				t.Fatalf("bindings %q", bound)
			}
			if contact == "" {
				contact = "<" + bound[0] + ">"
			}
			status := r.stranger(t, sip.REGISTER, "sip:ims.example", "", expiresHeader(0), sip.NewHeader("Contact", contact))
			if status != 200 {
				t.Fatalf("de-REGISTER: %d", status)
			}
			if left := r.core.Bindings(alice); len(left) != 0 {
				t.Errorf("still bound: %q", left)
			}
			eventually(t, "the echo at the server", func() bool { return !r.server.Registered(alice) })
			r.register(t)
		})
	}
}

func TestSessionTerminated(t *testing.T) {
	t.Parallel()
	r := newRig(t, ServerConfig{}, PhoneConfig{})
	r.core.cfg.SessionTerminated = true
	r.core.SetAS("sip:127.0.0.1:9") // nobody answers there
	if status, err := r.phone.Register(t.Context()); err != nil || status != 200 {
		t.Fatalf("REGISTER: %d, %v", status, err)
	}
	eventually(t, "de-registration by the S-CSCF", func() bool { return len(r.core.Bindings(alice)) == 0 })
}
