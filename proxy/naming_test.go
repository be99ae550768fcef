package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"rewatch/proxy/observe"
)

// TestNaming says who names the watcher of a SUBSCRIBE, by rule and by what the neighbour
// has asserted before.
func TestNaming(t *testing.T) {
	const alice, nobody = "P-Asserted-Identity: <sip:alice@ims.example>", "P-Asserted-Identity: <nonsense>"
	for _, c := range []struct {
		name  string
		rule  observe.Naming
		fore  []string // what came before, from the same neighbour
		line  string
		told  string // the identities that the Monitor is told of
		again bool   // what came before came to an earlier process
		marks bool   // the dialog's NOTIFYs are not to be taken for those of From
		from  bool   // the From of somebody is believed
	}{
		{"from a hop that asserts nothing", observe.ByHop, nil, "", "", false, false, true},
		{"as ever", observe.ByHop, []string{"", ""}, "", "", false, false, true},
		{"the first assertion", observe.ByHop, []string{""}, alice, "alice", false, false, false},
		{"none after an assertion", observe.ByHop, []string{alice}, "", "unasserted", false, true, false},
		{"none after a restart", observe.ByHop, nil, "", "unasserted", true, true, false},
		{"an assertion after a restart", observe.ByHop, nil, alice, "alice", true, false, false},
		{"one that cannot be read", observe.ByHop, []string{alice}, nobody, "unasserted", false, true, false},
		{"what cannot be read is none", observe.ByHop, []string{nobody}, "", "", false, false, true},
		{"pai", observe.ByAssertion, nil, alice, "alice", false, false, false},
		{"pai, none", observe.ByAssertion, nil, "", "unasserted", false, true, false},
		{"from", observe.ByFrom, []string{alice}, "P-Asserted-Identity: <sip:carol@ims.example>", "", false, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(r *rig) {
				ask := func(i int, line string) string {
					r.core.send(coreSide, request("SUBSCRIBE", "sip:bob@ims.example", strings.Replace(viaCore, "core1", fmt.Sprint("core", i), 1), strings.TrimSuffix("X: y\n"+line, "\n")))
					r.monitor.told()
					return r.server.want("SUBSCRIBE")
				}
				if c.again && !r.s.cfg.Namers.Restore(netip.MustParseAddrPort(coreAddr).Addr()) {
					t.Error("there is no room for one neighbour")
				}
				for i, line := range c.fore {
					ask(i, line)
				}
				got := ask(99, c.line)
				if marked := strings.Contains(got, ";lr;rw=pai>"); marked != c.marks {
					t.Errorf("marked: %t", marked)
				}
				if r.monitor.named != c.told {
					t.Errorf("told of %q, want %q", r.monitor.named, c.told)
				}
				if r.s.cfg.Namers.FromBelieved() != c.from {
					t.Errorf("From is believed: %t", !c.from)
				}
			}, func(cfg *Config) { cfg.Namers = observe.NewNamers(c.rule, nil) })
		})
	}
}

// TestPassedOn says whose third-party REGISTER is believed: of a hop that makes its own, no other. One
// that is not believed is forwarded, and not kept for a server that is down.
func TestPassedOn(t *testing.T) {
	const (
		made, passedOn = "", "\nVia: SIP/2.0/UDP phone.example;branch=z9hG4bK-p"
		inOne          = ", SIP/2.0/UDP phone.example;branch=z9hG4bK-p"
	)
	for _, c := range []struct {
		name     string
		rule     observe.Naming
		fore     []string // from the same neighbour
		via      string
		believed bool
	}{
		{"the first, made", observe.ByHop, nil, made, true},
		{"the first, passed on", observe.ByHop, nil, passedOn, true},
		{"of a proxy between", observe.ByHop, []string{passedOn, inOne}, passedOn, true},
		{"one more", observe.ByHop, []string{made}, made, true},
		{"passed on", observe.ByHop, []string{passedOn, made}, passedOn, false},
		{"passed on, in one field", observe.ByHop, []string{made}, inOne, false},
		{"pai", observe.ByAssertion, []string{made}, passedOn, false},
		{"from", observe.ByFrom, []string{made}, passedOn, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int64
			var answers atomic.Bool
			kept := &shelf{}
			play(t, func(r *rig) {
				register := func(i int, via string) string {
					return thirdParty(fmt.Sprint(i), ";branch=z9hG4bK-r%", fmt.Sprint(";branch=z9hG4bK-r", i, via))
				}
				for i, via := range append(c.fore, c.via) {
					r.core.send(coreSide, register(i, via))
					got := r.server.poll()
					for got == "\r\n\r\n" { // whether the server is there
						got = r.server.poll()
					}
					r.server.send(serverSide, reply(got, "200 OK"))
					r.core.want("SIP/2.0 200")
				}
				if got := r.monitor.named == ""; got != c.believed {
					t.Errorf("believed: %t", got)
				}
				r.gone()
				r.core.send(coreSide, register(10, c.via))
				if got := kept.took(); (got == "sip:Bob@ims.example 600") != c.believed {
					t.Errorf("kept %q", got)
				}
			}, care(&asked, &answers), keepOn(kept), func(cfg *Config) { cfg.Namers = observe.NewNamers(c.rule, nil) })
		})
	}
}
