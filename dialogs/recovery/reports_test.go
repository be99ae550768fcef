package recovery_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rewatch/dialogs"
	"rewatch/dialogs/audit"
	"rewatch/dialogs/recovery"
	"rewatch/policy"
	"rewatch/policy/outage"
)

// auditor keeps what it is told as lines.
type auditor struct {
	lines   []string
	entries []audit.Entry
}

func (a *auditor) Record(e audit.Entry) {
	a.lines = append(a.lines, fmt.Sprintf("%s %s %s: %s", e.Actor, e.Action, e.User, e.Detail))
	a.entries = append(a.entries, e)
	if e.Reason == "" || e.Proof == "" {
		a.lines = append(a.lines, "without a reason or proof")
	}
}

// Each sign-out that was done is one line, a try that failed is none; a ban is one too,
// and a dry run does nothing that could be written down.
func TestAudit(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*recovery.Config)
		want   string
	}{
		"sign-out": {func(*recovery.Config) {}, "rewatch sign-out sip:alice@ims.example: sip:alice@192.0.2.7:5066 by REGISTER: 200 OK"},
		"ban": {
			func(c *recovery.Config) { c.Rules.OnThreshold = policy.Ban },
			"rewatch ban sip:alice@ims.example: until 2000-01-01T01:00:30Z\nrewatch sign-out sip:alice@ims.example: sip:alice@192.0.2.7:5066 by REGISTER: 200 OK",
		},
		"unsubscribe": {func(c *recovery.Config) { c.Rules.OnThreshold = policy.Unsubscribe }, ""},
		"dry run":     {func(c *recovery.Config) { c.DryRun = dialogs.NewDryRun(true) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.Rules.Threshold = 1
			c.change(&cfg)
			book := &auditor{}
			cfg.Audit = book
			inBubble(t, cfg, func(r *rig) {
				failed := false
				r.change(func() {
					r.answer = func(request string) dialogs.Result {
						if request == "REGISTER core" && !failed {
							failed = true
							return dialogs.Result{Status: 500, Reason: "Server Internal Error"}
						}
						return dialogs.Result{Status: 200, Reason: "OK"}
					}
				})
				r.offer(policy.NotifyFailed, "bob", "call-1")
				r.at(100 * time.Second)
			})
			if got := strings.Join(book.lines, "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestProof: the line of a sign-out and of a ban says what there was against the user and
// for the path: how often and when it was told, what got through since by its hop, and
// when, and what was lost.
func TestProof(t *testing.T) {
	hop := netip.MustParseAddrPort("192.0.2.1:5060")
	cfg := config()
	cfg.Rules.Threshold, cfg.Rules.OnThreshold = 1, policy.Ban
	cfg.Hold.Limits.Off = false
	book := &auditor{}
	cfg.Audit = book
	inBubble(t, cfg, func(r *rig) {
		r.Failed(dialogs.Failure{
			AOR: alice, Hop: hop, Sent: time.Now().Add(-time.Second),
			Event: policy.Event{Kind: policy.NotifyFailed, At: time.Now(), Sub: broken("bob", "call-1")},
		})
		for second := range 41 {
			r.at(time.Duration(second) * time.Second)
			var carol outage.Passes
			carol.Add(time.Now(), dialogs.UserID("sip:carol@ims.example"))
			r.Passed(time.Now(), hop, carol)
		}
	})
	if len(book.entries) != 2 {
		t.Fatalf("%d lines: %q", len(book.entries), book.lines)
	}
	for _, e := range book.entries {
		if e.Reason != "given up after 1 MESSAGEs; lost: presence of bob, 408 Request Timeout" {
			t.Errorf("%s: reason %q", e.Action, e.Reason)
		}
		if want := regexp.MustCompile(`^no return after 1 of 1 MESSAGEs, the last at 2000-01-01T00:00:00\.51Z; by 192\.0\.2\.1:5060 others got through at 2000-01-01T00:00:30Z, a request to the user was answered at 2000-01-01T00:00:00\.51Z$`); !want.MatchString(e.Proof) {
			t.Errorf("%s: proof %q", e.Action, e.Proof)
		}
	}
}

// TestAlarmNamesWhatIsDone: when a user is given up the alarm says what follows, and
// afterwards what has really come of it.
func TestAlarmNamesWhatIsDone(t *testing.T) {
	const lost = "user given up after 1 MESSAGEs; lost: presence of bob, 408 Request Timeout; "
	contact := "sip:alice@192.0.2.7:5066"
	failing := func(string) dialogs.Result { return dialogs.Result{Status: 403, Reason: "Forbidden"} }
	for name, c := range map[string]struct {
		change func(*recovery.Config)
		answer func(string) dialogs.Result
		texts  []string
	}{
		"one contact": {func(*recovery.Config) {}, nil, []string{
			"to be signed out by REGISTER, of the contact that is lost", "signed out: " + contact + " by REGISTER: 200 OK",
		}},
		"all contacts": {func(c *recovery.Config) { c.DeregisterAll = true }, nil, []string{
			"to be signed out by REGISTER, of all contacts", "signed out: all contacts by REGISTER: 200 OK",
		}},
		"the hook": {func(c *recovery.Config) { c.ByHook = true }, nil, []string{
			"to be signed out by the hook, of the contact that is lost", "signed out: " + contact + " by the hook: 200 OK",
		}},
		"a hook without {contact}": {func(c *recovery.Config) { c.ByHook, c.HookTakesAll = true, true }, nil, []string{
			"to be signed out by the hook, of all contacts", "signed out: all contacts by the hook: 200 OK",
		}},
		"unsubscribe": {func(c *recovery.Config) { c.Rules.OnThreshold = policy.Unsubscribe }, nil, []string{"the subscription ends and the user stays registered"}},
		"never signed out": {func(c *recovery.Config) { c.NeverSignOut = func(string) bool { return true } }, nil, []string{
			"the user stays registered (REWATCH_NEVER_SIGN_OUT)",
		}},
		"the core refuses": {func(*recovery.Config) {}, failing, []string{"to be signed out by REGISTER, of the contact that is lost"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.Rules.Threshold = 1
			c.change(&cfg)
			inBubble(t, cfg, func(r *rig) {
				if c.answer != nil {
					r.change(func() { r.answer = c.answer })
				}
				r.offer(policy.NotifyFailed, "bob", "call-1")
				r.at(100 * time.Second)
				var want []string
				for _, text := range c.texts {
					want = append(want, lost+text)
				}
				if got := r.texts[policy.AlarmExhausted]; !slices.Equal(got, want) {
					t.Errorf("got\n%q\nwant\n%q", got, want)
				}
				steps := fmt.Sprint(r.Recoveries()[0].Steps)
				byHook, bySIP := strings.Contains(steps, "rewatch core sign-out by the hook"), strings.Contains(steps, "rewatch core REGISTER Expires: 0")
				if signs := strings.HasPrefix(c.texts[0], "to be"); byHook != (signs && cfg.ByHook) || bySIP != (signs && !cfg.ByHook) {
					t.Errorf("the ladder has %s", steps)
				}
				if got := r.texts[policy.AlarmDeregisterFailed]; (c.answer != nil) != (len(got) == 1) {
					t.Errorf("deregister-failed: %q", got)
				}
			})
		})
	}
}
