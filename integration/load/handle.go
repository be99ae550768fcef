package load

import "bytes"

var sipVersion = []byte("SIP/2.0 ")

// receive takes what is there at both ends and sends what that calls for.
func (g *Generator) receive() (busy bool, err error) {
	for end, l := range g.ends {
		got, err := l.receive(g.handle[end])
		if err != nil {
			return busy, err
		}
		busy = busy || got
	}
	for _, l := range g.ends {
		if err := l.flush(); err != nil {
			return busy, err
		}
	}
	return busy, nil
}

func (g *Generator) message(end int, raw []byte, from origin) {
	h := &g.head
	scanned := h.scan(raw)
	if bytes.HasPrefix(raw, sipVersion) {
		if scanned {
			g.response(raw, h)
		} else {
			g.wrong(raw)
		}
		return
	}
	var o *open
	if scanned {
		o = g.find(raw, h)
	}
	if o == nil {
		g.foreign(end, raw, from)
		return
	}
	g.request(end, raw, h, o, from)
}

// find gives the transaction of a message by the upper of our two Vias.
func (g *Generator) find(raw []byte, h *head) *open {
	seq, ok := seqIn(raw[h.viaAt:h.viaEnd])
	if !ok {
		return nil
	}
	return g.pending.find(seq)
}

func (g *Generator) wrong(raw []byte) {
	g.run.Wrong++
	g.check.keep(faultHead, raw)
}

// request is one of ours that has come through.
func (g *Generator) request(end int, raw []byte, h *head, o *open, from origin) {
	r := g.run
	switch {
	case end == sender(o.kind):
		g.wrong(raw)
		return
	case o.seq < r.first:
		r.Stray++
	case o.arrived:
		r.Retransmitted++
	case g.check.request(raw, h, o.kind, o.transaction) != "":
		r.Wrong++
	default:
		r.Arrived++
		if o.kind == Subscribe {
			g.learn(h)
		}
	}
	if o.mute {
		if !o.arrived {
			r.Muted++
		}
		o.arrived = true
		return
	}
	o.arrived = true
	l := g.ends[end]
	l.reply(g.works[o.kind].appendAnswer(l.begin(), raw, h, o.kind, o.transaction), from)
}

// foreign is a request that somebody else has made.
func (g *Generator) foreign(end int, raw []byte, from origin) {
	l := g.ends[end]
	b, ok := appendForeign(l.begin(), raw)
	if !ok {
		return
	}
	g.run.Foreign++
	l.reply(b, from)
}

// response is an answer to a request of ours.
func (g *Generator) response(raw []byte, h *head) {
	r := g.run
	o := g.find(raw, h)
	status := raw[len(sipVersion)]
	switch {
	case o == nil:
		g.wrong(raw)
	case status == '1':
	case o.seq < r.first:
		r.Stray++
	case o.answered:
		r.Retransmitted++
	case status != '2':
		o.answered = true
		g.pending.end(o)
		if o.mute {
			r.Ended++
		} else {
			r.Rejected++
			g.check.keep("rejected", raw)
		}
	default:
		o.answered = true
		g.answered(raw, h, o)
	}
}

func (g *Generator) answered(raw []byte, h *head, o *open) {
	r := g.run
	if g.check.response(raw, h, o.kind, o.transaction) != "" {
		r.Wrong++
		g.pending.end(o)
		return
	}
	now := g.now()
	r.progress = now
	r.Answered++
	if now-o.sent > Late {
		r.Late++
	}
	r.Latency.Add(now - o.sent)
	g.pending.end(o)
}
