package policy

import (
	"strings"
	"testing"
	"time"
	"unsafe"
)

// What a state takes is what its lists have room for and what stands in their texts.
func TestSize(t *testing.T) {
	broken := int(unsafe.Sizeof(Broken{}))
	device := int(unsafe.Sizeof(Device{}))
	list := make([]Broken, 1, 3)
	list[0] = Broken{Event: "1", Resource: "22", CallID: "333", Tag: "4444", Cause: "55555", Device: "6", Contact: "77", Agent: "888", Renewed: "9999"}
	if got, want := SizeOf(list), 3*broken+25; got != want {
		t.Errorf("the list takes %d bytes, want %d", got, want)
	}
	s := State{
		Broken: list, Strikes: make([]time.Time, 0, 4), Hop: "hop",
		Devices: append(make([]Device, 0, 2), Device{ID: "12", Contact: "345"}), Gone: append(make([]Device, 0, 5), Device{Contact: "1"}),
	}
	if got, want := s.Size(), 3*broken+25+4*24+3+2*device+5+5*device+1; got != want {
		t.Errorf("the state takes %d bytes, want %d", got, want)
	}
	if got := (&State{}).Size(); got != 0 {
		t.Errorf("nothing takes %d bytes", got)
	}
}

// A copy has the same texts, in one string of its own.
func TestClone(t *testing.T) {
	whole := "presence sip:bob@ims.example call-1 tag 408 urn:uuid:1 sip:al@a phone call-2"
	b := Broken{
		Event: whole[:8], Resource: whole[9:28], CallID: whole[29:35], Tag: whole[36:39], Cause: whole[40:43], Device: whole[44:54],
		Contact: whole[55:63], Agent: whole[64:69], Renewed: whole[70:], Told: true,
	}
	c := b.Clone()
	if c != b || c.Renewed != "call-2" {
		t.Fatalf("%+v became %+v", b, c)
	}
	if unsafe.StringData(c.Event) == unsafe.StringData(b.Event) {
		t.Error("the copy keeps the text of the original alive")
	}
	if n := testing.AllocsPerRun(100, func() { c = b.Clone() }); n != 1 {
		t.Errorf("%v allocations", n)
	}
}

// A subscription that breaks anew with a name for which there is no room is only counted; the
// others stay.
func TestNoRoomForALongerName(t *testing.T) {
	long := strings.Repeat("x", MaxBrokenText-100)
	m := newMachine(standard(), State{Broken: []Broken{
		{Event: "presence", Resource: "bob", CallID: "1"}, {Event: "presence", Resource: long, CallID: "2"}, {Event: "presence", Resource: "eve", CallID: "3"},
	}}, Event{Kind: NotifyFailed, Sub: Broken{Event: "presence", Resource: "bob", CallID: strings.Repeat("y", 200)}})
	if j := m.enlist(); j != failedFirst || m.s.More != 1 || len(m.s.Broken) != 2 || m.s.Broken[0].CallID != "2" || m.s.Broken[1].CallID != "3" {
		t.Errorf("%d, %d more, %d are named", j, m.s.More, len(m.s.Broken))
	}
}
