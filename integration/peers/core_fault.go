package peers

import (
	"strconv"

	"github.com/emiago/sipgo/sip"
)

type faultKind int

const (
	noFault faultKind = iota
	loseNotify
	loseResponses
	answerNotify
)

// Fault is what the core does to the NOTIFYs of one user. The zero Fault is none.
type Fault struct {
	kind       faultKind
	status     int
	reason     string
	retryAfter int
}

// LoseNotify swallows the NOTIFYs between the core and the phone.
func LoseNotify() Fault { return Fault{kind: loseNotify} }

// LoseResponses swallows the phone's responses to NOTIFYs at the core.
func LoseResponses() Fault { return Fault{kind: loseResponses} }

// AnswerNotify has the core answer the NOTIFYs itself.
func AnswerNotify(status int, reason string) Fault {
	return Fault{kind: answerNotify, status: status, reason: reason}
}

// RetryAfter adds a Retry-After header to the answer of AnswerNotify.
func (f Fault) RetryAfter(seconds int) Fault {
	f.retryAfter = seconds
	return f
}

func (f Fault) headers() []sip.Header {
	if f.retryAfter == 0 {
		return nil
	}
	return []sip.Header{sip.NewHeader("Retry-After", strconv.Itoa(f.retryAfter))}
}

// Break puts a fault in the way of a user's NOTIFYs; Heal takes it away.
func (c *Core) Break(user string, f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[aor(uri(user))] = f
}

// Heal lets a user's NOTIFYs pass again.
func (c *Core) Heal(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.faults, aor(uri(user)))
}

// faultOf is the fault in the way of a message: of the watcher a NOTIFY is for.
func (c *Core) faultOf(msg sip.Message) Fault {
	cseq, to := msg.CSeq(), msg.To()
	if cseq == nil || to == nil || cseq.MethodName != sip.NOTIFY {
		return Fault{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults[aor(to.Address)]
}

// loses swallows the responses that LoseResponses is about.
func (c *Core) loses(msg sip.Message) bool {
	_, response := msg.(*sip.Response)
	return response && c.faultOf(msg).kind == loseResponses
}
