package monitor

import (
	"bytes"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/dialogstest"
	"rewatch/proxy/wire"
)

// FuzzMonitor feeds it messages of arbitrary text. It must not panic, track more
// than it may, or lose count.
func FuzzMonitor(f *testing.F) {
	f.Add([]byte("S|c|sip:a@h|t|sip:b@h||presence|600\ns|c|sip:a@h|t|sip:b@h|u|presence|600\n" +
		"N|c|sip:b@h|u|sip:a@h|t|presence|active;expires=9\nO481\nR||sip:a@h||sip:a@h||<sip:s>;expires=1|\nU\nU0-0\nW"))
	f.Add([]byte("N|c|sip:b@h|u|sip:a@h|t|presence;id=1|terminated\nO200\nN|c|||||\xff|\x00\nO999\nL200\nT"))
	f.Add([]byte("N|c|sip:b@h|u|sip:a@h|t|reg|\nO503\nW\nU\nN|c|sip:b@h|v|sip:a@h|t|reg|\nO200\nS|c|sip:a@h|t|sip:b@h|u|reg|0"))
	f.Fuzz(func(t *testing.T, script []byte) {
		m, rec := newTestMonitor(Config{MaxSubscriptions: 8, SignalNotify: true, Answer: Answer(len(script) % 3)})
		rec.interested["*"] = true
		now := time.Unix(1_800_000_000, 0)
		var ref dialogs.Ref
		for cseq, line := range bytes.Split(script, []byte{'\n'}) {
			if len(line) == 0 {
				continue
			}
			msg := fuzzMessage(line, now, uint32(cseq)) // #nosec G115 -- a line number
			switch line[0] {
			case 'S':
				m.Subscribe(msg)
			case 's':
				msg.Status, msg.CSeq = 200, msg.CSeq-1
				m.SubscribeDone(msg)
			case 'r':
				msg.Status, msg.CSeq = 481, msg.CSeq-1
				m.SubscribeDone(msg)
			case 'N':
				ref, _ = m.Notify(msg)
			case 'O', 'L':
				o := dialogs.Outcome{
					Kind: dialogs.OutcomeKind(len(line) % 3), At: now, Status: number(string(line[1:])), Reason: line,
					RetryAfter: len(line)%5 - 1, CSeq: uint32(cseq - 1), Head: line, Late: line[0] == 'L', // #nosec G115
				}
				m.NotifyDone(ref, o)
				m.Announce(ref, o.CSeq)
			case 'R':
				m.Register(msg)
				msg.Status = 200
				m.RegisterDone(msg)
			case 'T':
				m.Termination("sip:a@h", "c", "reg")
				m.SignedOut(m.User("sip:a@h"))
			case 'U':
				m.User("sip:a@h")
				m.Subscriptions(string(line[1:]), len(line)%4)
				m.Watchers(string(line[1:]), len(line)%4, "")
			case 'W':
				now = now.Add(40 * time.Second)
				expiry{m}.sweep(now)
			}
		}
		if m.records.Load() > 8 || m.live.Load() > m.records.Load() || m.live.Load() < 0 {
			t.Fatalf("%d records, %d live", m.records.Load(), m.live.Load())
		}
		for range 20 { // the sweep takes parts, were there many
			now = now.Add(100 * 365 * 24 * time.Hour / 20)
			expiry{m}.sweep(now)
		}
		if m.records.Load() != 0 || m.live.Load() != 0 || m.registered.Load() != 0 || m.heads.Load() != 0 ||
			m.pending.Load() != 0 || m.texts.Load() != 0 {
			t.Fatalf("left: %d records, %d live, %d registered, %d heads, %d pending, %d bytes of text",
				m.records.Load(), m.live.Load(), m.registered.Load(), m.heads.Load(), m.pending.Load(), m.texts.Load())
		}
	})
}

func fuzzMessage(line []byte, now time.Time, cseq uint32) *dialogs.Message {
	field := bytes.Split(line, []byte{'|'})
	get := func(i int) []byte {
		if i < len(field) {
			return field[i]
		}
		return nil
	}
	msg := &dialogs.Message{
		At: now, CSeq: cseq, CallID: get(1), FromURI: get(2), FromTag: get(3), ToURI: get(4), ToTag: get(5),
		Event: dialogstest.Event(string(get(6))), State: dialogstest.State(string(get(7))), Contacts: dialogstest.Contacts(string(get(6))), Identities: dialogstest.Identities(string(get(8))),
		RequestURI: get(9), Expires: wire.Seconds(get(7)),
	}
	if line[0] == 'N' {
		msg.Side, msg.Contacts = dialogs.Server, dialogstest.Target(string(get(9)))
	}
	return msg
}
