package policy

import (
	"reflect"
	"testing"
	"time"
	"unsafe"
)

// differing returns copies of v, each of which differs in one field.
func differing[T any](t *testing.T, v T) map[string]T {
	t.Helper()
	all := make(map[string]T)
	for i := range reflect.TypeFor[T]().NumField() {
		c := v
		f := reflect.ValueOf(&c).Elem().Field(i)
		switch x := f.Addr().Interface().(type) {
		case *bool:
			*x = !*x
		case *string:
			*x += "x"
		case *time.Time:
			*x = x.Add(time.Second)
		case *[]time.Time:
			*x = append([]time.Time{dawn}, *x...)
		case *[]Broken:
			*x = append([]Broken{{}}, *x...)
		case *[]Device:
			*x = append([]Device{{}}, *x...)
		default:
			switch {
			case f.CanInt():
				f.SetInt(f.Int() + 1)
			case f.CanUint():
				f.SetUint(f.Uint() + 1)
			default:
				t.Fatalf("a field of type %s", f.Type())
			}
		}
		all[reflect.TypeFor[T]().Field(i).Name] = c
	}
	return all
}

func TestEqual(t *testing.T) {
	for name, s := range differing(t, State{}) {
		if s.Equal(State{}) || !s.Equal(s) {
			t.Errorf("Equal does not look at %s", name)
		}
	}
	for name, b := range differing(t, Broken{Due: dawn}) {
		if b.equal(Broken{Due: dawn}) || !b.equal(b) {
			t.Errorf("equal does not look at %s", name)
		}
	}
	if b := (Broken{Due: dawn}); !b.equal(Broken{Due: dawn.In(time.FixedZone("elsewhere", 3600))}) {
		t.Error("the same moment elsewhere is another one")
	}
}

// What is remembered keeps a state from being forgotten: each thing by itself.
func TestForgettable(t *testing.T) {
	idle := map[string]bool{ // what outlives nothing by itself
		"Strikes": true, "Tries": true, "Episode": true, "Started": true, "Broken": true, "More": true, "Gone": true, "Deaf": true,
		"Messaged": true, "Signal": true, "Excused": true, "UnchargedSent": true, "Transmitted": true, "Hop": true, "Deadline": true, "SignedOut": true,
		"StaysRegistered": true, "DeregisterTried": true, "AlarmAt": true, "BanAlarmAt": true, "DeregisterAlarmAt": true, "ForgetAt": true,
	}
	for name, s := range differing(t, State{}) {
		if s.Forgettable() != idle[name] {
			t.Errorf("a state with %s alone is forgettable: %t", name, s.Forgettable())
		}
		if want := name == "Phase" || name == "Alarm"; s.Active() != want {
			t.Errorf("a state with %s alone is active: %t", name, s.Active())
		}
	}
}

// A clone says the same, in texts of its own.
func TestCloneOfBroken(t *testing.T) {
	b := Broken{Event: "e", Resource: "re", CallID: "cal", Tag: "", Cause: "408 x", Device: "d", Contact: "con", Agent: "ag", Renewed: "r", Told: true, Since: dawn}
	c := b.Clone()
	if c != b || unsafe.StringData(c.Event) == unsafe.StringData(b.Event) {
		t.Errorf("%+v", c)
	}
	if unsafe.StringData(c.Renewed) != (*byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(c.Event)), b.Text()-1)) {
		t.Error("the texts are not one string")
	}
}
