package ident

import (
	"strings"
	"testing"

	"rewatch/dialogs"
)

// A NOTIFY and the SUBSCRIBE of its subscription have the same ID, from either side.
func TestBothSides(t *testing.T) {
	event := dialogs.Event{Package: []byte("presence"), ID: []byte("7")}
	subscribe := dialogs.Message{CallID: []byte("c"), FromTag: []byte("w"), ToTag: []byte("n"), Event: event}
	notify := dialogs.Message{CallID: []byte("c"), FromTag: []byte("n"), ToTag: []byte("w"), Event: event}
	one, two := OfSubscribe(&subscribe), OfNotify(&notify)
	if a, b := string(one.AppendKey(nil)), string(two.AppendKey(nil)); a != b || a != "c\x00w\x00n\x00presence;id=7\x00" {
		t.Errorf("%q, %q", a, b)
	}
	two.Param = nil
	if got := string(two.AppendKey(nil)); got != "c\x00w\x00n\x00presence\x00" {
		t.Errorf("without an id: %q", got)
	}
}

func TestFault(t *testing.T) {
	long := func(n int) []byte { return []byte(strings.Repeat("x", n)) }
	sound := func() ID {
		return ID{CallID: long(MaxCallID), WatcherTag: long(maxTag), NotifierTag: long(maxTag), Package: []byte("presence"), Param: long(116)}
	}
	for name, c := range map[string]struct {
		change func(*ID)
		want   Fault
	}{
		"as long as may be": {func(*ID) {}, Sound},
		"no notifier tag":   {func(id *ID) { id.NotifierTag = nil }, Sound},
		"long Call-ID":      {func(id *ID) { id.CallID = long(MaxCallID + 1) }, Oversize},
		"long tag":          {func(id *ID) { id.WatcherTag = long(maxTag + 1) }, Oversize},
		"long other tag":    {func(id *ID) { id.NotifierTag = long(maxTag + 1) }, Oversize},
		"long event":        {func(id *ID) { id.Param = long(117) }, Oversize},
		"no Call-ID":        {func(id *ID) { id.CallID = nil }, Malformed},
		"no tag":            {func(id *ID) { id.WatcherTag = nil }, Malformed},
		"no package":        {func(id *ID) { id.Package = nil }, Malformed},
		"blank in Call-ID":  {func(id *ID) { id.CallID = []byte("a b") }, Malformed},
		"control in tag":    {func(id *ID) { id.WatcherTag = []byte("a\x7f") }, Malformed},
		"byte of no ASCII":  {func(id *ID) { id.NotifierTag = []byte("\xff") }, Malformed},
	} {
		id := sound()
		if c.change(&id); id.Fault() != c.want {
			t.Errorf("%s: %d, want %d", name, id.Fault(), c.want)
		}
	}
	for tag, want := range map[string]bool{"": false, "a": true, "a b": false, string(long(maxTag)): true, string(long(maxTag + 1)): false} {
		if IsTag([]byte(tag)) != want {
			t.Errorf("tag %.20q: %v", tag, !want)
		}
	}
	for uri, want := range map[string]bool{"sip:a@b": true, "sip:a b": false, string(long(5000)): false} {
		if IsURI([]byte(uri)) != want {
			t.Errorf("URI %.20q: %v", uri, !want)
		}
	}
}

// A stored event is parted and recognised again.
func TestEvent(t *testing.T) {
	for _, c := range []struct{ event, pkg, id string }{{"presence", "presence", ""}, {"presence;id=7", "presence", "7"}, {"dialog;id=a;id=b", "dialog", "a;id=b"}} {
		e := SplitEvent(c.event)
		if string(e.Package) != c.pkg || string(e.ID) != c.id || PackageOf(c.event) != c.pkg || !EventIs(c.event, e.Package, e.ID) {
			t.Errorf("%q: %q %q", c.event, e.Package, e.ID)
		}
		for _, other := range []string{"presence.winfo", "presence;id=8", "presence;id=77", "presence;ix=7", "dialog"} {
			if EventIs(other, e.Package, e.ID) {
				t.Errorf("%q is taken for %q", other, c.event)
			}
		}
	}
}

// A parameter that names another resource is part of it; all others are not.
func TestResource(t *testing.T) {
	for _, c := range []struct{ to, request, resource, canonical string }{
		{"sip:bob@IMS.example;transport=udp", "sip:bob@ims.example", "sip:bob@ims.example", "sip:bob@ims.example"},
		{"sip:bob@ims.example", "sip:bob@ims.example;pres-list=friends", "sip:bob@ims.example;pres-list=friends", "sip:bob@ims.example;pres-list=friends"},
		{"sip:bob@ims.example;gr=urn:uuid:1", "sip:bob@ims.example", "sip:bob@ims.example;gr=urn:uuid:1", "sip:bob@ims.example;gr=urn:uuid:1"},
		{"sip:bob@ims.example", "sip:carol@ims.example;gr=1", "sip:bob@ims.example", "sip:bob@ims.example"},
		{"sip:bob@ims.example", "sip:bob@ims.example;gr", "sip:bob@ims.example;gr", "sip:bob@ims.example"}, // a temporary one names nobody else
		{"nothing", "sip:bob@ims.example", "nothing", ""},
	} {
		got := Resource([]byte(c.to), []byte(c.request))
		if string(got) != c.resource {
			t.Errorf("%s to %s: %s, want %s", c.request, c.to, got, c.resource)
		}
		canonical, ok := AppendResource(nil, got)
		if ok != (c.canonical != "") || ok && string(canonical) != c.canonical {
			t.Errorf("%s: %s, %v, want %s", got, canonical, ok, c.canonical)
		}
	}
}
