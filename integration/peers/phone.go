package peers

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// PhoneConfig is one user's client.
type PhoneConfig struct {
	// AOR is the user ("sip:alice@ims.example"), Core the address of the core.
	AOR  string
	Core netip.AddrPort
	// Addr is the address to listen on; empty: loopback, any port.
	Addr string
	// Expires is asked for registrations and subscriptions, in seconds; 0: 3600.
	Expires int
	// IgnoreMessage makes a client that knows nothing of rewatch's MESSAGE: it
	// answers 200 and does nothing.
	IgnoreMessage bool
	Timers        Timers
	Trace         Trace
}

// Phone is a watcher (RFC 6665, RFC 3428). It subscribes again, with a fresh
// dialog, upon a MESSAGE that says so, upon a terminated NOTIFY that invites it
// to, and when its refresh is answered 481.
type Phone struct {
	cfg  PhoneConfig
	ep   *endpoint
	user sip.Uri

	mu       sync.Mutex
	reg      dialog
	watches  map[string]*watch // by local tag
	answer   int
	messages []string
	notified int
	statuses map[string]string // resource AOR to its last status
}

// StartPhone opens the socket and serves until Close.
func StartPhone(cfg PhoneConfig) (*Phone, error) {
	user := uri(cfg.AOR)
	ep, err := listen(user.User, cfg.Addr, cfg.Timers, cfg.Trace)
	if err != nil {
		return nil, err
	}
	if cfg.Expires == 0 {
		cfg.Expires = defaultExpires
	}
	p := &Phone{
		cfg:      cfg,
		ep:       ep,
		user:     user,
		watches:  make(map[string]*watch),
		answer:   200,
		statuses: make(map[string]string),
	}
	domain := sip.Uri{Scheme: "sip", Host: user.Host}
	p.reg = dialog{callID: newCallID(), local: user, remote: user, localTag: newTag(), target: domain}
	ep.onRequest = p.request
	ep.start()
	ep.spawn(p.upkeep)
	return p, nil
}

// Close ends every transaction and returns when all goroutines have. It does not
// sign the user out: a phone that loses power does not either.
func (p *Phone) Close() { p.ep.close() }

// Addr is the address of the phone's socket.
func (p *Phone) Addr() netip.AddrPort { return p.ep.addr }

// AOR is the user's address of record.
func (p *Phone) AOR() string { return aor(p.user) }

// Register registers the phone's contact and returns the final status.
func (p *Phone) Register(ctx context.Context) (int, error) { return p.register(ctx, p.cfg.Expires) }

// Unregister removes it.
func (p *Phone) Unregister(ctx context.Context) (int, error) { return p.register(ctx, 0) }

func (p *Phone) register(ctx context.Context, expires int) (int, error) {
	p.mu.Lock()
	req := p.reg.request(sip.REGISTER)
	p.mu.Unlock()
	req.AppendHeader(p.ep.contact(p.user.User, false))
	req.AppendHeader(expiresHeader(expires))
	req.SetBody(nil)
	res, err := p.ep.do(ctx, req, p.outbound())
	if err != nil {
		return 0, fmt.Errorf("register %s: %w", p.AOR(), err)
	}
	return res.StatusCode, nil
}

// outbound is the core: every request that has no route goes there.
func (p *Phone) outbound() hop { return hop{addr: p.cfg.Core} }

// AnswerNotify chooses the status for NOTIFYs from now on; 0: none at all.
func (p *Phone) AnswerNotify(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = status
}

// Messages are the bodies of the MESSAGEs received.
func (p *Phone) Messages() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

// Notified is the number of NOTIFYs received in known dialogs.
func (p *Phone) Notified() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.notified
}

// Status is what the phone shows for a friend: "open", "closed" or "".
func (p *Phone) Status(resource string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.statuses[aor(uri(resource))]
}

func (p *Phone) request(req *sip.Request, from hop) {
	switch req.Method {
	case sip.NOTIFY:
		p.notify(req, from)
	case sip.MESSAGE:
		p.message(req, from)
	case sip.OPTIONS:
		p.ep.respond(req, from, reply(req, 200, "OK"))
	case sip.ACK:
	default:
		p.ep.respond(req, from, reply(req, 405, "Method Not Allowed", sip.NewHeader("Allow", "NOTIFY, MESSAGE, OPTIONS")))
	}
}

// upkeep refreshes subscriptions before they end, until the phone closes.
func (p *Phone) upkeep() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.ep.ctx.Done():
			return
		case now := <-tick.C:
			for _, w := range p.due(now) {
				p.ep.spawn(func() { p.refresh(w) })
			}
		}
	}
}
