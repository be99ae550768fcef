package peers

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// binding is one contact of a user (RFC 3261 10.3).
type binding struct {
	contact sip.Uri
	callID  string
	cseq    uint32
	until   time.Time
}

const defaultExpires = 3600

// Bindings are the contact URIs that a user is registered with.
func (c *Core) Bindings(user string) []string {
	var contacts []string
	for _, b := range c.live(aor(uri(user))) {
		contacts = append(contacts, b.contact.String())
	}
	return contacts
}

func (c *Core) live(user string) []binding {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bindings[user] = slices.DeleteFunc(c.bindings[user], func(b binding) bool { return !b.until.After(now) })
	return slices.Clone(c.bindings[user])
}

// register is the registrar. A third party may register for a user (From differs
// from To, RFC 3261 10.2): here everybody inside the core is trusted to.
func (c *Core) register(req *sip.Request, from hop) {
	user := aor(req.To().Address)
	before := len(c.live(user)) > 0
	if !c.update(user, req) {
		// What a registrar says to a REGISTER that is older than what it knows.
		c.ep.respond(req, from, reply(req, 500, "Server Internal Error"))
		return
	}
	bound := c.live(user)
	ok := reply(req, 200, "OK")
	granted := 0
	for _, b := range bound {
		left := int(time.Until(b.until).Round(time.Second).Seconds())
		granted = max(granted, left)
		h := &sip.ContactHeader{Address: *b.contact.Clone()}
		h.Params.Add("expires", strconv.Itoa(left))
		ok.AppendHeader(h)
	}
	c.ep.respond(req, from, ok)

	changes := len(req.GetHeaders("Contact")) > 0
	if changes && (before || len(bound) > 0) {
		c.ep.spawn(func() { c.registerThirdParty(user, granted) })
	}
}

// update carries out the Contacts of a REGISTER; false if it is out of order.
func (c *Core) update(user string, req *sip.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	callID, cseq := req.CallID().Value(), req.CSeq().SeqNo
	bound := slices.Clone(c.bindings[user])
	for _, b := range bound {
		if b.callID == callID && b.cseq >= cseq {
			return false
		}
	}
	for _, h := range req.GetHeaders("Contact") {
		contact, ok := h.(*sip.ContactHeader)
		if !ok {
			continue
		}
		if contact.Address.Wildcard {
			bound = nil
			continue
		}
		key := contactKey(contact.Address)
		bound = slices.DeleteFunc(bound, func(b binding) bool { return contactKey(b.contact) == key })
		if n := contactExpires(req, contact); n > 0 {
			until := time.Now().Add(seconds(n))
			bound = append(bound, binding{*contact.Address.Clone(), callID, cseq, until})
		}
	}
	c.bindings[user] = bound
	return true
}

func contactExpires(req *sip.Request, contact *sip.ContactHeader) int {
	if v, ok := contact.Params.Get("expires"); ok {
		if n, err := strconv.Atoi(v); err == nil {
			return n
		}
	}
	if n := expires(req); n >= 0 {
		return n
	}
	return defaultExpires
}

// registerThirdParty tells the application server that a user is registered now,
// or no longer (TS 24.229 5.4.1.7): a new Call-ID each time, Contact and From are
// the S-CSCF's, Expires the user's.
func (c *Core) registerThirdParty(user string, granted int) {
	as := c.asURI()
	if as.Host == "" {
		return
	}
	turn := c.turn(user)
	turn.Lock()
	defer turn.Unlock()

	scscf := c.ep.uri("scscf", false)
	d := dialog{callID: newCallID(), local: scscf, localTag: newTag(), remote: uri(user), target: as}
	req := d.request(sip.REGISTER)
	req.AppendHeader(&sip.ContactHeader{Address: scscf})
	req.AppendHeader(expiresHeader(granted))
	req.AppendHeader(sip.NewHeader("Event", "registration"))
	req.AppendHeader(sip.NewHeader("P-Associated-URI", "<"+user+">"))
	req.SetBody(nil)
	to, err := hopOf(c.ep.ctx, as)
	if err != nil {
		return
	}
	res, err := c.ep.do(c.ep.ctx, req, to)
	refused := err != nil || !res.IsSuccess()
	if refused && granted > 0 && c.cfg.SessionTerminated && c.ep.ctx.Err() == nil {
		c.mu.Lock()
		delete(c.bindings, user)
		c.mu.Unlock()
	}
}

func (c *Core) turn(user string) *sync.Mutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.thirdParty[user] == nil {
		c.thirdParty[user] = new(sync.Mutex)
	}
	return c.thirdParty[user]
}
