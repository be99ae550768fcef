package peers

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"
)

// errTimeout says that Timer F fired: no final response came.
var errTimeout = errors.New("no final response")

// answer is a response that is kept for retransmissions of its request.
type answer struct {
	res *sip.Response
	at  time.Time
}

// transactionKey is the branch and method of a message (RFC 3261 17.1.3, 17.2.3).
func transactionKey(msg sip.Message) string {
	via, cseq := msg.Via(), msg.CSeq()
	if via == nil || cseq == nil {
		return ""
	}
	branch, _ := via.Params.Get("branch")
	return branch + " " + via.SentBy() + " " + string(cseq.MethodName)
}

// do sends a request and waits for its final response, sending it again as
// Timer E asks where the transport is unreliable (RFC 3261 17.1.2).
func (e *endpoint) do(ctx context.Context, req *sip.Request, to hop) (*sip.Response, error) {
	e.pushVia(req, to, sip.GenerateBranch())
	key := transactionKey(req)
	responses := make(chan *sip.Response, 8)
	e.mu.Lock()
	e.open[key] = responses
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.open, key)
		e.mu.Unlock()
	}()

	if err := e.send(req, to); err != nil {
		return nil, err
	}
	interval := e.timers.T1
	again := time.NewTimer(interval)
	defer again.Stop()
	giveUp := time.NewTimer(e.timers.timeout())
	defer giveUp.Stop()
	for {
		select {
		case res := <-responses:
			if !res.IsProvisional() {
				return res, nil
			}
			interval = e.timers.T2
		case <-again.C:
			if !to.tcp {
				_ = e.send(req, to)
			}
			interval = min(2*interval, e.timers.T2)
			again.Reset(interval)
		case <-giveUp.C:
			return nil, errTimeout
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-e.ctx.Done():
			return nil, net.ErrClosed
		}
	}
}

func (e *endpoint) transactionOf(res *sip.Response) chan *sip.Response {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open[transactionKey(res)]
}

// receiveRequest absorbs a retransmission of what was answered here and marks
// where the response has to go (RFC 3581).
func (e *endpoint) receiveRequest(req *sip.Request, from hop, repeat bool) {
	if req.Via() == nil || req.CSeq() == nil || req.CallID() == nil || req.From() == nil || req.To() == nil {
		return
	}
	if repeat {
		e.mu.Lock()
		a, ok := e.answered[transactionKey(req)]
		e.mu.Unlock()
		if ok {
			_ = e.send(a.res, from)
			return
		}
	}
	req.SetSource(from.addr.String())
	via := req.Via()
	via.Params.Add("received", from.addr.Addr().String())
	via.Params.Add("rport", strconv.Itoa(int(from.addr.Port())))
	e.onRequest(req, from)
}

// respond answers a request and keeps the answer until Timer J.
func (e *endpoint) respond(req *sip.Request, from hop, res *sip.Response) {
	e.mu.Lock()
	e.answered[transactionKey(req)] = answer{res, time.Now()}
	e.mu.Unlock()
	_ = e.send(res, from)
}

// pushVia puts our own Via on top.
func (e *endpoint) pushVia(req *sip.Request, to hop, branch string) {
	via := &sip.ViaHeader{
		ProtocolName:    "SIP",
		ProtocolVersion: "2.0",
		Transport:       to.transport(),
		Host:            e.addr.Addr().String(),
		Port:            int(e.addr.Port()),
		Params:          sip.HeaderParams{{K: "branch", V: branch}, {K: "rport"}},
	}
	req.PrependHeader(via)
}
