package sidecar

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"rewatch/dialogs/recovery/ladder"
	"rewatch/proxy/capture"
	"rewatch/proxy/draft"
	"rewatch/proxy/socket"
	"rewatch/proxy/wire"
)

// tap gives the Tap that gets every message; nil: there is none.
func (p *process) tap() socket.Tap {
	switch {
	case p.mirror == nil && p.recorder == nil:
		return nil
	case p.recorder == nil:
		return p.mirror.Mirror
	case p.mirror == nil:
		return p.recorder.Record
	}
	return func(transport string, from, to netip.AddrPort, raw []byte) {
		p.mirror.Mirror(transport, from, to, raw)
		p.recorder.Record(transport, from, to, raw)
	}
}

// margin is the time before the first and after the last step of a recovery that a capture includes.
const margin = 2 * time.Second

// messagesOf gives the messages of the user of a recovery from the time of the recovery; false: there is
// no such recovery.
func (b backend) messagesOf(id string) (found []capture.Message, ok bool) {
	all := b.p.engine.Recoveries()
	i := slices.IndexFunc(all, func(v ladder.View) bool { return v.ID == id })
	if i < 0 || b.p.recorder == nil {
		return nil, false
	}
	v := &all[i]
	from, to := v.Started, time.Now()
	for _, s := range v.Steps {
		if s.At.Before(from) {
			from = s.At
		}
	}
	if v.Ended != nil {
		to = *v.Ended
	}
	return b.p.recorder.Of(v.AOR, from.Add(-margin), to.Add(margin)), true
}

// Captures implements admin.Captures.
func (b backend) Captures() bool { return b.p.recorder != nil }

// Pcap implements admin.Captures.
func (b backend) Pcap(id string) ([]byte, bool) {
	messages, ok := b.messagesOf(id)
	if !ok {
		return nil, false
	}
	var file bytes.Buffer
	_ = capture.WritePcap(&file, messages) // memory takes all
	return file.Bytes(), true
}

// sipMessage is a message without its body, as the API shows it.
type sipMessage struct {
	At        time.Time `json:"at"`
	Transport string    `json:"transport"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Start     string    `json:"start"` // its first line
	CallID    string    `json:"call_id"`
	CSeq      string    `json:"cseq"`
	Branch    string    `json:"branch"` // of the upper Via
	Length    int       `json:"length"`
}

// Messages implements admin.Captures.
func (b backend) Messages(id string) (any, bool) {
	messages, ok := b.messagesOf(id)
	list := make([]sipMessage, 0, len(messages))
	for i := range messages {
		list = append(list, shown(&messages[i]))
	}
	return list, ok
}

func shown(c *capture.Message) sipMessage {
	start, _, _ := bytes.Cut(c.Raw, []byte("\n"))
	s := sipMessage{
		At: c.At, Transport: c.Transport, From: c.From.String(), To: c.To.String(), Length: len(c.Raw),
		Start: string(bytes.TrimSpace(start)),
	}
	var m wire.Message
	if wire.Scan(c.Raw, &m) != nil { // only what can be read was kept
		return s
	}
	callID, _ := m.Value(wire.CallID)
	cseq, _ := m.Value(wire.CSeq)
	via, _ := wire.ParseVia(draft.FirstValue(&m, wire.Via))
	s.CallID, s.CSeq, s.Branch = string(callID), string(cseq), string(via.Branch)
	return s
}
