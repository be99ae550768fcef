package peers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// subscription is one dialog of the server with a watcher.
type subscription struct {
	dialog
	watcher  string // AOR
	resource string // AOR
	event    string // header value
	until    time.Time
	expiry   *time.Timer
	last     int // status of the last NOTIFY that ended; 0: none yet
	cause    string
}

// Subscription is what a PresenceServer tells of one of its subscriptions.
type Subscription struct {
	Watcher, Resource, Event string
	CallID                   string
	// LastNotify is the status of the last NOTIFY: 0 none yet, 408 no response.
	LastNotify int
	// Cause is why an ended subscription ended.
	Cause string
}

func (sub *subscription) facts() Subscription {
	return Subscription{sub.watcher, sub.resource, sub.event, sub.callID, sub.last, sub.cause}
}

// Subscriptions are those of a watcher, or all for "", in the order of Call-ID.
func (s *PresenceServer) Subscriptions(watcher string) []Subscription {
	if watcher != "" {
		watcher = aor(uri(watcher))
	}
	var all []Subscription
	s.mu.Lock()
	for _, sub := range s.subscriptions {
		if watcher == "" || sub.watcher == watcher {
			all = append(all, sub.facts())
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Subscription) int { return strings.Compare(a.CallID, b.CallID) })
	return all
}

// Ended are the subscriptions that are gone, in the order of their going.
func (s *PresenceServer) Ended() []Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ended)
}

// subscribe creates, refreshes and ends subscriptions (RFC 6665 4.2.1).
func (s *PresenceServer) subscribe(req *sip.Request, from hop) {
	if header(req, "Event") == "" && header(req, "o") == "" {
		s.ep.respond(req, from, reply(req, 489, "Bad Event"))
		return
	}
	granted := expires(req)
	if granted < 0 || granted > s.cfg.MaxExpires {
		granted = s.cfg.MaxExpires
	}
	tag := tagOf(req.To().Params)
	var sub *subscription
	if tag == "" {
		sub = s.create(req)
	} else if sub = s.find(tag, req); sub == nil {
		s.ep.respond(req, from, reply(req, 481, "Subscription Does Not Exist"))
		return
	}

	s.mu.Lock()
	sub.until = time.Now().Add(seconds(granted))
	if granted > 0 {
		sub.expiry.Reset(seconds(granted))
	}
	s.mu.Unlock()
	ok := sip.NewResponseFromRequest(req, 200, "OK", nil)
	ok.To().Params.Add("tag", sub.localTag)
	ok.AppendHeader(s.ep.contact("", from.tcp))
	ok.AppendHeader(expiresHeader(granted))
	s.ep.respond(req, from, ok)

	if granted == 0 {
		s.end(sub, "timeout")
		return
	}
	s.notify(sub, "")
}

func (s *PresenceServer) create(req *sip.Request) *subscription {
	sub := &subscription{
		dialog: dialog{
			callID:   req.CallID().Value(),
			local:    req.To().Address,
			remote:   req.From().Address,
			localTag: newTag(),
			peerTag:  tagOf(req.From().Params),
			routes:   recordRoutes(req),
		},
		watcher:  aor(req.From().Address),
		resource: aor(req.Recipient),
		event:    header(req, "Event") + header(req, "o"),
	}
	if c := req.Contact(); c != nil {
		sub.target = *c.Address.Clone()
	}
	sub.expiry = time.AfterFunc(time.Hour, func() { s.end(sub, "timeout") })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions[sub.localTag] = sub
	return sub
}

func (s *PresenceServer) find(tag string, req *sip.Request) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subscriptions[tag]
	if sub == nil || sub.callID != req.CallID().Value() || sub.peerTag != tagOf(req.From().Params) {
		return nil
	}
	return sub
}

// end tells the watcher that the subscription is over, and forgets it.
func (s *PresenceServer) end(sub *subscription, reason string) {
	if s.forget(sub, reason) {
		s.notify(sub, reason)
	}
}

func (s *PresenceServer) forget(sub *subscription, cause string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subscriptions[sub.localTag] != sub {
		return false
	}
	delete(s.subscriptions, sub.localTag)
	sub.expiry.Stop()
	sub.cause = cause
	s.ended = append(s.ended, sub.facts())
	return true
}

// notify sends the full state in the dialog; terminated with a reason, else active.
func (s *PresenceServer) notify(sub *subscription, terminated string) {
	s.mu.Lock()
	req := sub.request(sip.NOTIFY)
	st, known := s.states[sub.resource]
	left := max(0, int(time.Until(sub.until).Round(time.Second).Seconds()))
	s.mu.Unlock()
	if !known {
		st = pidf(sub.resource, "closed")
	}

	req.AppendHeader(s.ep.contact("", false))
	req.AppendHeader(sip.NewHeader("Event", sub.event))
	subscriptionState := fmt.Sprintf("active;expires=%d", left)
	if terminated != "" {
		subscriptionState = "terminated;reason=" + terminated
	}
	req.AppendHeader(sip.NewHeader("Subscription-State", subscriptionState))
	req.AppendHeader(sip.NewHeader("Content-Type", st.contentType))
	req.SetBody(st.body)
	s.ep.spawn(func() { s.send(sub, req) })
}

func (s *PresenceServer) send(sub *subscription, req *sip.Request) {
	status, cause := 408, "no response"
	to, err := nextHop(s.ep.ctx, req)
	if err == nil {
		var res *sip.Response
		if res, err = s.ep.do(s.ep.ctx, req, to); err == nil {
			status, cause = res.StatusCode, fmt.Sprintf("%d %s", res.StatusCode, res.Reason)
		}
	}
	if s.ep.ctx.Err() != nil {
		return // closing is no failure of the watcher
	}
	if err != nil && !errors.Is(err, errTimeout) {
		cause = err.Error()
	}
	s.mu.Lock()
	sub.last = status
	s.mu.Unlock()
	if endsSubscription(status) && !s.cfg.KeepFailed {
		s.forget(sub, cause)
	}
}

// endsSubscription is what Kamailio 5.6 does: a NOTIFY that times out, or is
// answered 404, 408 or 481, ends its subscription; others change nothing.
func endsSubscription(status int) bool {
	return status == 404 || status == 408 || status == 481
}
