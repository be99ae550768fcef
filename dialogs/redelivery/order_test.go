package redelivery

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// names is what those of the user and the device cost.
const names = len("sip:alice@x") + len("a")

// looseBench has delivered a NOTIFY by a second attempt, while the first may still reach
// the phone, and one that follows is kept.
func looseBench(t *testing.T) (b *bench, old Attempt) {
	t.Helper()
	b = newBench(t, roomy)
	b.keeps(notify(1, 1, true))
	old = b.sends(5*time.Second, 1, 1)
	b.keeps(notify(1, 2, true))
	b.now = b.now.Add(2 * time.Second)
	b.Alive(b.now, "sip:alice@x", "a")
	b.done(b.sendsNow(1, 1), Accepted)
	b.want("1/1 delivered")
	return b, old
}

// TestPatience: what follows waits for what a proxy may still send, but not for long.
func TestPatience(t *testing.T) {
	b, _ := looseBench(t)
	b.sends(patience, 1, 2)

	b, old := looseBench(t)
	b.idle()
	b.done(old, Failed500)
	b.sendsNow(1, 2)
}

// TestShownAgain: the phone has taken the older state after the newer one, and gets that
// again; whatever is newer still takes its place, and nothing ends twice.
func TestShownAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		happen func(b *bench, old Attempt)
	}{
		{"taken", func(b *bench, old Attempt) {
			b.done(old, Accepted)
			b.done(b.sendsNow(1, 2), Accepted)
			b.idle()
			b.want()
		}},
		{"taken, and then there is silence", func(b *bench, old Attempt) {
			b.done(old, Accepted)
			b.done(b.sendsNow(1, 2), Silence)
			b.done(b.sends(10*time.Second, 1, 2), Failed500)
			b.want()
		}},
		{"taken, and then forgotten", func(b *bench, old Attempt) {
			b.done(old, Accepted)
			b.done(b.sendsNow(1, 2), Final)
			b.want("1/2 given back")
		}},
		{"taken, and the subscription has ended", func(b *bench, old Attempt) {
			b.done(old, Accepted)
			b.end(b.Drop(1, Dropped))
			b.idle()
			b.want()
		}},
		{"ended before it was taken", func(b *bench, old Attempt) {
			b.end(b.Drop(1, Dropped))
			b.done(old, Accepted)
			b.idle()
			b.want()
		}},
		{"refused", func(b *bench, old Attempt) {
			b.done(old, Failed500)
			b.idle()
			b.want()
		}},
		{"taken after what is newer", func(b *bench, old Attempt) {
			next := notify(1, 3, true)
			next.Queued = true
			b.keeps(next)
			a := b.sendsNow(1, 3)
			b.done(old, Accepted)
			b.idle()
			b.done(a, Accepted)
			b.want("1/3 delivered")
		}},
		{"never heard of", func(b *bench, old Attempt) {
			b.now = b.now.Add(lifetime)
			b.end(b.Expire(b.now))
			b.done(old, Accepted)
			b.idle()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, old := looseBench(t)
			b.done(b.sends(patience, 1, 2), Accepted)
			b.want("1/2 delivered")
			if b.Len() != 0 || b.Bytes() != len("NOTIFY")+names+overhead || !b.Holds(1) {
				t.Fatalf("%d kept, %d bytes, held: %t", b.Len(), b.Bytes(), b.Holds(1))
			}
			c.happen(b, old)
			if b.Len() != 0 || b.Bytes() != 0 || b.Holds(1) {
				t.Errorf("%d kept, %d bytes, held: %t", b.Len(), b.Bytes(), b.Holds(1))
			}
		})
	}
}

// TestDroppedWhileItWaits: what came to nothing while it waited for its rate is not sent.
func TestDroppedWhileItWaits(t *testing.T) {
	inOffice(t, Options{Config: roomy, Rate: 1}, func(b *office) {
		b.reply = answer(200)
		for i := range uint64(2) {
			n := notify(i, 1, true)
			n.User = fmt.Sprintf("sip:user%d@x", i)
			b.Keep(time.Now(), n)
			b.Alive(time.Now(), n.User, "")
			synctest.Wait()
		}
		b.want(1, "0/1 0 by 0/200")
		b.Drop(1, Dropped)
		<-time.After(5 * time.Second)
		b.want(0)
	})
}

// TestReachedElsewhere: what is kept goes to the new Contact, and what is under way to the
// old one is not waited for.
func TestReachedElsewhere(t *testing.T) {
	b := newBench(t, roomy)
	n := notify(1, 1, true)
	n.Parcel.Raw = []byte("NOTIFY sip:a@old:5060 SIP/2.0\r\nTo: sip:a@old:5060\r\n\r\n")
	b.keeps(n)
	b.sends(5*time.Second, 1, 1)
	b.Reached(b.now, 1, "sip:a@old:5060", "sip:alice@new;x=y")
	if a := b.sendsNow(1, 1); string(a.Parcel.Raw) != "NOTIFY sip:alice@new;x=y SIP/2.0\r\nTo: sip:a@old:5060\r\n\r\n" {
		t.Errorf("sent %q", a.Parcel.Raw)
	}
	if b.Bytes() != b.dialogs[1].queue[0].size() {
		t.Error(b.Bytes())
	}
	b.Reached(b.now, 1, "sip:a@old:5060", "sip:third") // its target is another one
	if a := b.sendsNow(1, 1); string(a.Parcel.Raw[:24]) != "NOTIFY sip:alice@new;x=y" {
		t.Errorf("sent %q", a.Parcel.Raw)
	}
	b.Reached(b.now, 2, "a", "b") // nothing is kept
}

// TestSpelledOtherwise: the server may write the old Contact in its own way. A Request-URI that
// is not that, such as a strict router's, stays.
func TestSpelledOtherwise(t *testing.T) {
	for uri, replaced := range map[string]bool{
		"sip:a@old.test:5060;transport=tcp": true, "sip:a@OLD.test;transport=TCP;ob": true, "SIP:%61@old.test:5060": true, "sip:a@old.test": true,
		"sip:b@old.test": false, "sip:A@old.test": false, "sip:a@old.test:5061": false, "sips:a@old.test:5060": false, "sip:pcscf.test;lr": false, "x": false,
	} {
		b := newBench(t, roomy)
		n := notify(1, 1, true)
		n.Parcel.Raw = []byte("NOTIFY " + uri + " SIP/2.0\r\n\r\n")
		b.keeps(n)
		b.Reached(b.now, 1, "sip:a@old.test:5060;transport=tcp", "sip:a@new")
		want := map[bool]string{true: "sip:a@new", false: uri}[replaced]
		if a := b.sendsNow(1, 1); string(a.Parcel.Raw) != "NOTIFY "+want+" SIP/2.0\r\n\r\n" {
			t.Errorf("%s: sent %q", uri, a.Parcel.Raw)
		}
	}
}
