//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// modules is where Debian keeps the modules of baresip.
const modules = "/usr/lib/baresip/modules"

// startBaresip starts a baresip that registers as a user and watches bob.
func (s *site) startBaresip(user string, last int) *process {
	s.t.Helper()
	return s.startBaresipFor(user, last, 600)
}

// startBaresipFor starts one that registers for so many seconds at a time.
func (s *site) startBaresipFor(user string, last, registers int) *process {
	s.t.Helper()
	dir := s.file("baresip")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	path := modules
	if found, _ := filepath.Glob("/usr/lib/*/baresip/modules"); len(found) > 0 {
		path = found[0]
	}
	files := map[string]string{
		"config": fmt.Sprintf("poll_method epoll\nsip_listen %[1]s:5060\nnet_interface %[1]s\nmodule_path %[2]s\n"+
			"module account.so\nmodule contact.so\nmodule presence.so\nmodule menu.so\n", s.ip(last), path),
		"accounts": fmt.Sprintf("<sip:%s@ims.example>;regint=%d;outbound=\"sip:%s:5060\";auth_pass=none\n", user, registers, s.ip(20)),
		"contacts": "\"Bob\" <sip:bob@ims.example>;presence=p2p\n",
	}
	for name, text := range files {
		s.write(filepath.Join("baresip", name), text)
	}
	return s.start("baresip", nil, "baresip", "-f", dir)
}

// startLinphone starts a linphonec that registers as a user and watches bob. It
// listens on every address, so each needs a port of its own.
func (s *site) startLinphone(user string, port int) *process {
	s.t.Helper()
	for _, dir := range []string{".local/share/linphone", ".config/linphone"} {
		if err := os.MkdirAll(s.file(dir), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	rc := s.write("linphonerc", fmt.Sprintf(`[sip]
sip_port=%[1]d
sip_tcp_port=%[1]d
sip_tls_port=-1
default_proxy=0
register_only_when_network_is_up=0
[proxy_0]
reg_proxy=<sip:%[2]s>
reg_route=<sip:%[2]s;lr>
reg_identity=sip:%[3]s@ims.example
reg_expires=600
reg_sendregister=1
publish=0
[friend_0]
url="Bob" <sip:bob@ims.example>
pol=accept
subscribe=1
`, port, s.ip(20), user))
	return s.start("linphonec", nil, "linphonec", "-c", rc)
}

// TestBaresipTerminated: a standard client that gets the terminating NOTIFY
// subscribes anew within ten seconds.
func TestBaresipTerminated(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.startPresence()
	core := s.startCore()
	r := s.startRewatch(env{"REWATCH_SIGNAL": "message,notify", "REWATCH_RESUBSCRIBE_TIMEOUT": "30s"})
	s.startBaresip("alice", 50)
	eventually(t, 2*patience, "baresip is subscribed and notified", func() bool {
		return len(server.watchers("alice")) == 1 && r.metric("rewatch_notify_total", `result="ok"`) >= 1
	})
	before := server.watchers("alice")[0]
	// The NOTIFY is refused on the way, so the phone itself can be reached.
	core.fault("alice", "500")
	s.publish("bob", "here")
	eventually(t, patience, "the server has deleted the subscription", func() bool { return len(server.watchers("alice")) == 0 })
	core.heal("alice")
	failed := time.Now()
	eventually(t, 10*time.Second, "baresip subscribes anew", func() bool {
		w := server.watchers("alice")
		return len(w) == 1 && w[0] != before
	})
	t.Logf("baresip was back after %v", time.Since(failed).Round(100*time.Millisecond))
	eventually(t, patience, "the recovery is proven", func() bool {
		return r.metric("rewatch_recoveries_total", `result="recovered"`) == 1
	})
	// RFC 6665: the terminating NOTIFY took a CSeq of the server's.
	s.publish("bob", "there")
	holds(t, 3*time.Second, "one MESSAGE", func() bool { return r.metric("rewatch_messages_total") <= 1 })
	if core.deregistered("alice") != 0 {
		t.Error("alice was signed out")
	}
}

// TestClientsRefresh: standard clients that lost a NOTIFY come back at their
// next refresh, which gets 481; with REWATCH_MAX_EXPIRES=60 that is soon.
func TestClientsRefresh(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 90 seconds")
	}
	for i, client := range []string{"baresip", "linphonec"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server := s.startPresence()
			core := s.startCore()
			// The MESSAGE is of no use to these clients, and must not lead to
			// their being signed out before they had a chance.
			r := s.startRewatch(env{"REWATCH_MAX_EXPIRES": "60", "REWATCH_RESUBSCRIBE_TIMEOUT": "60s"})
			if client == "baresip" {
				s.startBaresip("alice", 50)
			} else {
				s.startLinphone("alice", 20000+os.Getpid()%20000+i)
			}
			eventually(t, 2*patience, "subscribed and notified", func() bool {
				return len(server.watchers("alice")) == 1 && r.metric("rewatch_notify_total", `result="ok"`) >= 1
			})
			before := server.watchers("alice")[0]
			core.fault("alice", "lose-response")
			s.publish("bob", "here")
			eventually(t, patience, "the server has deleted the subscription", func() bool { return len(server.watchers("alice")) == 0 })
			core.heal("alice")
			failed := time.Now()
			eventually(t, 95*time.Second, "the client subscribes anew", func() bool {
				w := server.watchers("alice")
				return len(w) == 1 && w[0] != before
			})
			took := time.Since(failed)
			t.Logf("%s was back after %v", client, took.Round(time.Second))
			if took > 90*time.Second {
				t.Errorf("%s was back after %v, want 90s at most", client, took)
			}
			eventually(t, patience, "the recovery is proven", func() bool {
				return r.metric("rewatch_recoveries_total", `result="recovered"`) == 1
			})
			if out := core.output(); strings.Contains(out, "signed out by another") {
				t.Errorf("the user was signed out:\n%s", out)
			}
		})
	}
}
