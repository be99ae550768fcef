package recovery_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/agent"
	"rewatch/dialogs/recovery/ladder"
	"rewatch/policy"
)

func TestReferenceFlow(t *testing.T) {
	inBubble(t, config(), func(r *rig) {
		if r.Interested(alice) {
			t.Error("interested in somebody of whom nothing is known")
		}
		r.Trace(alice, dialogs.Step{At: time.Now(), From: "server", To: "core", What: "NOTIFY presence"})
		r.at(time.Second)
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(1400 * time.Millisecond)
		r.offer(policy.NotifyFailed, "eve", "call-2")
		if !r.Interested(alice) || r.Interested("sip:carol@ims.example") {
			t.Error("interested in the wrong users")
		}
		r.at(3 * time.Second)
		r.offer(policy.Subscribed, "bob", "call-11")
		r.offer(policy.Subscribed, "eve", "call-12")
		r.offer(policy.NotifyOK, "bob", "call-11")
		r.at(4 * time.Second)
		r.offer(policy.NotifyOK, "eve", "call-12")
		r.expect(`1.5s  MESSAGE 1 of 3 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob eve`)
		if r.other != "sip:10.0.0.7:5060" {
			t.Errorf("the other way is %q", r.other)
		}

		r.expectMetric(1, "rewatch_messages_total", "result", "ok")
		r.expectMetric(1, "rewatch_recoveries_total", "result", "recovered")
		r.expectMetric(1, "rewatch_recovery_seconds")
		r.expectMetric(0, "rewatch_recoveries_active")
		if s, ok := r.State(alice); !ok || s.Phase != policy.Idle || s.Sent != 1 || s.Of != 3 {
			t.Errorf("state %+v", s)
		}
		r.Offer(alice, policy.Event{Kind: policy.Deregistered, At: time.Now()})
		r.expectForgotten()

		v := r.Recoveries()
		if len(v) != 1 || v[0].Result != "recovered" || v[0].Attempt != 1 || v[0].Ended == nil ||
			len(v[0].Broken) != 2 || v[0].Broken[0].Progress != policy.Proven {
			t.Fatalf("recoveries %+v", v)
		}
		if got, want := stepsOf(v[0]), "NOTIFY presence, MESSAGE attempt 1 of 3, 200 OK"; got != want {
			t.Errorf("ladder %q, want %q", got, want)
		}
	})
}

func stepsOf(v ladder.View) string {
	var steps []string
	for _, s := range v.Steps {
		steps = append(steps, s.What)
	}
	return strings.Join(steps, ", ")
}

func TestGivingUp(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold = 1
	inBubble(t, cfg, func(r *rig) {
		r.change(func() {
			u := r.users[alice]
			u.AtServer = true
			r.users[alice] = u
		})
		fail := 2
		r.change(func() {
			r.answer = func(request string) dialogs.Result {
				switch {
				case request == "MESSAGE":
					return dialogs.Result{Err: dialogs.ErrNoResponse}
				case request == "REGISTER core" && fail > 0:
					fail--
					return dialogs.Result{Status: 403, Reason: "Forbidden"}
				default:
					return dialogs.Result{Status: 200, Reason: "OK"}
				}
			}
		})
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(100 * time.Second)
		r.expect(`
			500ms    MESSAGE 1 of 1 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob
			30.51s   raise watcher-exhausted of sip:alice@ims.example, minor
			30.51s   REGISTER sip:alice@ims.example at core by sip:scscf.ims.example:6060;lr: "sip:alice@192.0.2.7:5066"
			30.52s   raise deregister-failed of sip:alice@ims.example, major
			35.52s   REGISTER sip:alice@ims.example at core by sip:scscf.ims.example:6060;lr: "sip:alice@192.0.2.7:5066"
			45.53s   REGISTER sip:alice@ims.example at core by sip:scscf.ims.example:6060;lr: "sip:alice@192.0.2.7:5066"
			45.54s   signed out sip:alice@ims.example
			45.54s   clear deregister-failed of sip:alice@ims.example
			45.54s   REGISTER sip:alice@ims.example at server: "sip:scscf.ims.example:6060;lr"`)
		r.expectMetric(1, "rewatch_messages_total", "result", "timeout")
		r.expectMetric(2, "rewatch_deregistrations_total", "result", "failed", "target", "core")
		r.expectMetric(1, "rewatch_deregistrations_total", "result", "ok", "target", "core")
		r.expectMetric(1, "rewatch_deregistrations_total", "result", "ok", "target", "server")
		r.expectMetric(1, "rewatch_recoveries_total", "result", "exhausted")
		if got, want := stepsOf(r.Recoveries()[0]), "MESSAGE attempt 1 of 1, no response, "+
			"REGISTER Expires: 0, 403 Forbidden, REGISTER Expires: 0, 403 Forbidden, "+
			"REGISTER Expires: 0, 200 OK, REGISTER Expires: 0, 200 OK"; got != want {
			t.Errorf("ladder %q", got)
		}

		r.Offer(alice, policy.Event{Kind: policy.Registered, At: time.Now()})
		r.offer(policy.NotifyOK, "bob", "call-2")
		r.expect(`1m40s   clear watcher-exhausted of sip:alice@ims.example`)
		r.expectForgotten()
	})
}

// Whoever does not tell the server has told the core all the same.
func TestServerIsToldAFewTimes(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold, cfg.DeregisterAll = 1, true
	inBubble(t, cfg, func(r *rig) {
		r.change(func() {
			r.users[alice] = dialogs.User{AOR: alice, Registered: true, AtServer: true, LastHop: "sip:hop", Contacts: []string{"x"}}
		})
		r.change(func() {
			r.answer = func(request string) dialogs.Result {
				if request == "REGISTER serv" {
					return dialogs.Result{Status: 500}
				}
				return dialogs.Result{Status: 200}
			}
		})
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(100 * time.Second)
		r.expect(`
			500ms   MESSAGE 1 of 1 to sip:alice@ims.example by sip:hop: bob
			30.51s  raise watcher-exhausted of sip:alice@ims.example, minor
			30.51s  REGISTER sip:alice@ims.example at core by sip:hop: ""
			30.52s  signed out sip:alice@ims.example
			30.52s  REGISTER sip:alice@ims.example at server: ""
			35.53s  REGISTER sip:alice@ims.example at server: ""
			45.54s  REGISTER sip:alice@ims.example at server: ""`)
		if s, _ := r.State(alice); !s.SignedOut || s.DeregisterAlarm {
			t.Errorf("state %+v", s)
		}
	})
}

func TestWhoIsDeregistered(t *testing.T) {
	for _, test := range []struct {
		name string
		aor  string
		user dialogs.User
		want bool
	}{
		{"registered", alice, dialogs.User{Registered: true}, true},
		{"an emergency registration", alice, dialogs.User{Registered: true, Emergency: true}, false},
		{"not seen, foreign domain", alice, dialogs.User{}, false},
		{"not seen, served domain", "sip:alice@served.example", dialogs.User{}, true},
		{"served domain with a port", "sip:alice@served.example:5080", dialogs.User{}, true},
		{"a telephone number", "tel:+4930123", dialogs.User{}, false},
		{"an IPv6 domain", "sip:alice@[2001:db8::1]:5060", dialogs.User{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := config()
			cfg.Rules.Threshold = 1
			cfg.Domains = []string{"Served.example", "[2001:db8::1]"}
			inBubble(t, cfg, func(r *rig) {
				test.user.AOR = test.aor
				r.change(func() { r.users[test.aor] = test.user })
				r.Offer(test.aor, policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")})
				r.at(time.Minute)
				want, kept := map[bool]string{true: "ok", false: "skipped"}[test.want], !test.want
				r.expectMetric(1, "rewatch_deregistrations_total", "result", want, "target", "core")
				if s, _ := r.State(test.aor); s.StaysRegistered != kept || s.SignedOut == kept {
					t.Errorf("state %+v", s)
				}
			})
		})
	}
}

func TestBan(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold, cfg.Rules.OnThreshold = 1, policy.Ban
	inBubble(t, cfg, func(r *rig) {
		r.offer(policy.NotifyFailed, "bob", "call-1")
		now := r.at(time.Minute)
		if !r.Banned(alice, now) || r.Banned("sip:bob@ims.example", now) || r.Banned(alice, now.Add(time.Hour)) {
			t.Error("the wrong users are banned")
		}
		if !r.Unban(alice) || r.Unban("sip:nobody@ims.example") {
			t.Error("unban knows the wrong users")
		}
		if r.Banned(alice, now) {
			t.Error("alice is still banned")
		}
		synctest.Wait()
		if !r.Reset(alice) || r.Reset("sip:nobody@ims.example") {
			t.Error("reset knows the wrong users")
		}
		synctest.Wait()
		r.expect(`
			500ms   MESSAGE 1 of 1 to sip:alice@ims.example by sip:scscf.ims.example:6060;lr: bob
			30.51s  raise watcher-exhausted of sip:alice@ims.example, minor
			30.51s  raise watcher-banned of sip:alice@ims.example, warning
			30.51s  REGISTER sip:alice@ims.example at core by sip:scscf.ims.example:6060;lr: "sip:alice@192.0.2.7:5066"
			30.52s  signed out sip:alice@ims.example
			1m0s    clear watcher-banned of sip:alice@ims.example
			1m0s    clear watcher-exhausted of sip:alice@ims.example`)
		r.expectForgotten()
	})
}

func TestDryRun(t *testing.T) {
	cfg := config()
	cfg.Rules.Threshold, cfg.Rules.OnThreshold, cfg.DryRun = 1, policy.Ban, dialogs.NewDryRun(true)
	inBubble(t, cfg, func(r *rig) {
		r.offer(policy.NotifyFailed, "bob", "call-1")
		if now := r.at(time.Minute); r.Banned(alice, now) {
			t.Error("a dry run bans")
		}
		r.expect(``)
		r.expectMetric(1, "rewatch_messages_total", "result", "dry_run")
		r.expectMetric(1, "rewatch_deregistrations_total", "result", "dry_run", "target", "core")
		for rec, err := range r.store.All(t.Context()) {
			t.Errorf("a dry run saves %+v, %v", rec, err)
		}
	})
}

func TestTerminatingNotify(t *testing.T) {
	cfg := config()
	cfg.Signal = agent.Signal{Notify: true}
	inBubble(t, cfg, func(r *rig) {
		for i := range 5 {
			r.change(func() { r.dialogs[fmt.Sprint("call-", i)] = i != 1 }) // that one was killed by the response
			r.offer(policy.NotifyFailed, fmt.Sprint("friend-", i), fmt.Sprint("call-", i))
		}
		answered := 0
		r.change(func() {
			r.answer = func(string) dialogs.Result {
				if answered++; answered == 3 {
					return dialogs.Result{Err: dialogs.ErrNoResponse}
				}
				return dialogs.Result{Status: 200}
			}
		})
		r.at(time.Second)
		// After the one that was not answered the phone is left in peace.
		r.expect(`
			500ms  NOTIFY terminated call-0
			510ms  NOTIFY terminated call-2
			520ms  NOTIFY terminated call-3`)
		if s, _ := r.State(alice); s.Phase != policy.Waiting {
			t.Errorf("phase %s after the last NOTIFY", s.Phase)
		}
	})
}

func TestBothSignals(t *testing.T) {
	cfg := config()
	cfg.Signal.Notify = true
	inBubble(t, cfg, func(r *rig) {
		r.change(func() { r.dialogs["call-1"] = true })
		r.offer(policy.NotifyFailed, "bob", "call-1")
		r.at(time.Second)
		if n := r.happened(); n != 2 {
			t.Errorf("%d requests, want a MESSAGE and a NOTIFY", n)
		}
	})
}

func TestMessageResults(t *testing.T) {
	for want, answer := range map[string]dialogs.Result{
		"ok":          {Status: 202},
		"unsupported": {Status: 415},
		"rejected":    {Status: 603},
		"timeout":     {Err: fmt.Errorf("MESSAGE: %w", dialogs.ErrNoResponse)},
		"error":       {Err: fmt.Errorf("no route to host")},
	} {
		inBubble(t, config(), func(r *rig) {
			r.change(func() { r.answer = func(string) dialogs.Result { return answer } })
			r.offer(policy.NotifyFailed, "bob", "call-1")
			r.at(time.Second)
			r.expectMetric(1, "rewatch_messages_total", "result", want)
			if s, _ := r.State(alice); s.Phase != policy.Waiting || s.InFlight {
				t.Errorf("%s: state %+v", want, s)
			}
		})
	}
}
