package peers

import (
	"strings"

	"github.com/emiago/sipgo/sip"
)

// message answers a MESSAGE. One that says which subscriptions were lost has the
// phone subscribe again to those it still watches, each with a fresh dialog.
func (p *Phone) message(req *sip.Request, from hop) {
	body := string(req.Body())
	p.mu.Lock()
	p.messages = append(p.messages, body)
	p.mu.Unlock()
	p.ep.respond(req, from, reply(req, 200, "OK"))
	if p.cfg.IgnoreMessage {
		return
	}
	for _, l := range lostSubscriptions(body) {
		if p.watching(l) {
			p.ep.spawn(func() { _, _ = p.subscribe(p.ep.ctx, l.resource, l.event) })
		}
	}
}

// lost names one subscription of a "Subscription lost" MESSAGE.
type lost struct{ event, resource string }

// lostSubscriptions reads the body: Event and Resource lines, in blocks that an
// empty line separates.
func lostSubscriptions(body string) []lost {
	if !strings.HasPrefix(body, "Subscription lost") {
		return nil
	}
	var all []lost
	var l lost
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "Event":
			l.event = strings.TrimSpace(value)
		case "Resource":
			l.resource = aor(uri(strings.TrimSpace(value)))
			all = append(all, l)
		}
	}
	return all
}

// watching says whether the phone has (or had, and wants) this subscription.
func (p *Phone) watching(l lost) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.watches {
		if w.resource == l.resource && w.event == l.event {
			return true
		}
	}
	return false
}

// reasonPhrase is the usual phrase of a status, where a phone answers it.
func reasonPhrase(status int) string {
	switch status {
	case 200:
		return "OK"
	case 400:
		return "Bad Request"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 408:
		return "Request Timeout"
	case 480:
		return "Temporarily Unavailable"
	case 481:
		return "Subscription Does Not Exist"
	case 489:
		return "Bad Event"
	case 491:
		return "Request Pending"
	case 500:
		return "Server Internal Error"
	case 503:
		return "Service Unavailable"
	case 603:
		return "Decline"
	default:
		return "Because"
	}
}
