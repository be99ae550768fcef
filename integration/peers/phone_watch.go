package peers

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// watch is one subscription of a phone.
type watch struct {
	dialog
	resource string // AOR
	event    string
	// renew is when it has to be refreshed; zero while a SUBSCRIBE is open.
	renew time.Time
}

// Subscribe watches a resource ("sip:carol@ims.example") and returns the status
// of the SUBSCRIBE. The first NOTIFY may come before or after it returns.
func (p *Phone) Subscribe(ctx context.Context, resource string) (int, error) {
	return p.subscribe(ctx, aor(uri(resource)), "presence")
}

// subscribe opens a new dialog; an older one for the same resource and event is
// forgotten, so that a NOTIFY on it gets 481.
func (p *Phone) subscribe(ctx context.Context, resource, event string) (int, error) {
	w := &watch{
		dialog: dialog{
			callID: newCallID(), local: p.user, localTag: newTag(),
			remote: uri(resource), target: uri(resource),
		},
		resource: resource,
		event:    event,
	}
	p.mu.Lock()
	for tag, old := range p.watches {
		if old.resource == resource && old.event == event {
			delete(p.watches, tag)
		}
	}
	p.watches[w.localTag] = w
	p.mu.Unlock()
	return p.sendSubscribe(ctx, w, p.cfg.Expires)
}

// Unsubscribe ends the watching of a resource (Expires: 0 in the dialog).
func (p *Phone) Unsubscribe(ctx context.Context, resource string) (int, error) {
	key := aor(uri(resource))
	p.mu.Lock()
	var found *watch
	for _, w := range p.watches {
		if w.resource == key {
			found = w
		}
	}
	p.mu.Unlock()
	if found == nil {
		return 0, fmt.Errorf("unsubscribe %s: not watched", resource)
	}
	return p.sendSubscribe(ctx, found, 0)
}

func (p *Phone) sendSubscribe(ctx context.Context, w *watch, ask int) (int, error) {
	p.mu.Lock()
	req := w.request(sip.SUBSCRIBE)
	w.renew = time.Time{}
	p.mu.Unlock()
	req.AppendHeader(p.ep.contact(p.user.User, false))
	req.AppendHeader(sip.NewHeader("Event", w.event))
	req.AppendHeader(sip.NewHeader("Accept", "application/pidf+xml"))
	req.AppendHeader(expiresHeader(ask))
	req.SetBody(nil)

	to := p.outbound()
	if req.Route() != nil {
		var err error
		if to, err = nextHop(ctx, req); err != nil {
			return 0, err
		}
	}
	res, err := p.ep.do(ctx, req, to)
	if err != nil {
		p.lose(w)
		return 0, fmt.Errorf("subscribe %s to %s: %w", p.AOR(), w.resource, err)
	}
	p.subscribed(w, res, ask)
	return res.StatusCode, nil
}

// subscribed takes up the 200: the dialog and the time to refresh it.
func (p *Phone) subscribed(w *watch, res *sip.Response, ask int) {
	if !res.IsSuccess() {
		if tagOf(res.To().Params) == "" || w.peerTag == "" || res.StatusCode == 481 {
			p.lose(w)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.peerTag == "" { // else a NOTIFY came first, and its route set counts
		w.peerTag = tagOf(res.To().Params)
		w.routes = reversed(recordRoutes(res))
		if c := res.Contact(); c != nil {
			w.target = *c.Address.Clone()
		}
	}
	granted := expires(res)
	if granted < 0 {
		granted = ask
	}
	if ask > 0 && granted > 0 {
		w.renew = time.Now().Add(seconds(granted) * 9 / 10)
	}
}

func (p *Phone) lose(w *watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watches[w.localTag] == w {
		delete(p.watches, w.localTag)
	}
}

// due takes the subscriptions whose time to refresh has come.
func (p *Phone) due(now time.Time) []*watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []*watch
	for _, w := range p.watches {
		if !w.renew.IsZero() && now.After(w.renew) {
			w.renew = time.Time{}
			due = append(due, w)
		}
	}
	return due
}

// Refresh refreshes every subscription now, as upkeep does when its time comes.
func (p *Phone) Refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.watches {
		w.renew = time.Now().Add(-time.Second)
	}
}

// refresh refreshes in the dialog; a 481 says that it is gone at the server, and
// the client subscribes anew (RFC 6665 4.1.2.2).
func (p *Phone) refresh(w *watch) {
	status, err := p.sendSubscribe(p.ep.ctx, w, p.cfg.Expires)
	if err == nil && status == 481 {
		_, _ = p.subscribe(p.ep.ctx, w.resource, w.event)
	}
}

// notify answers a NOTIFY and takes up its state.
func (p *Phone) notify(req *sip.Request, from hop) {
	p.mu.Lock()
	w := p.watches[tagOf(req.To().Params)]
	if w == nil || w.callID != req.CallID().Value() {
		p.mu.Unlock()
		p.ep.respond(req, from, reply(req, 481, "Subscription Does Not Exist"))
		return
	}
	p.notified++
	p.adopt(w, req)
	if status := basicStatus(req.Body()); status != "" {
		p.statuses[w.resource] = status
	}
	answer := p.answer
	again := p.over(w, header(req, "Subscription-State"))
	p.mu.Unlock()

	if answer != 0 {
		p.ep.respond(req, from, reply(req, answer, reasonPhrase(answer)))
	}
	if again {
		p.ep.spawn(func() { _, _ = p.subscribe(p.ep.ctx, w.resource, w.event) })
	}
}

// adopt takes the remote tag, target and route set of the first NOTIFY: those of
// the NOTIFY count, not those of the 200 (RFC 6665 4.4.1).
func (p *Phone) adopt(w *watch, req *sip.Request) {
	w.peerTag = tagOf(req.From().Params)
	w.routes = recordRoutes(req)
	if c := req.Contact(); c != nil {
		w.target = *c.Address.Clone()
	}
}

// over forgets a terminated subscription and says whether to open a new one at
// once (RFC 6665 4.1.3); called with mu held.
func (p *Phone) over(w *watch, subscriptionState string) bool {
	if !strings.HasPrefix(subscriptionState, "terminated") {
		return false
	}
	delete(p.watches, w.localTag)
	return strings.Contains(subscriptionState, "reason=deactivated")
}

var basic = regexp.MustCompile(`<(?:\w+:)?basic>\s*(\w+)\s*<`)

func basicStatus(body []byte) string {
	if m := basic.FindSubmatch(body); m != nil {
		return string(m[1])
	}
	return ""
}
