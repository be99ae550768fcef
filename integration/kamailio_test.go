//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// lab is where the configurations and scenarios of the lab are.
func lab(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "docker", "lab", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A core is the Kamailio of docker/lab/kamailio-core.cfg.
type core struct {
	*process
	s *site
}

// startCore starts the IMS core of the site. Its application server is rewatch.
func (s *site) startCore() *core {
	s.t.Helper()
	return s.startCoreWith(s.ip(30), 5060)
}

// startBigCore starts one with memory for thousands of transactions.
func (s *site) startBigCore() *core {
	s.t.Helper()
	return s.startCoreWith(s.ip(30), 5060, "-m", "512", "-M", "16")
}

// startCoreWith starts the core with another application server, and further
// arguments.
func (s *site) startCoreWith(as string, port int, args ...string) *core {
	s.t.Helper()
	c := &core{s: s}
	cfg := s.write("core.cfg", fmt.Sprintf(`#!KAMAILIO
#!substdef "!CORE_IP!%s!g"
#!substdef "!AS_IP!%s!g"
#!substdef "!AS_PORT!%d!g"
#!substdef "!RUN_DIR!%s!g"
include_file "%s"
`, s.ip(20), as, port, s.dir, lab(s.t, "kamailio-core.cfg")))
	c.process = s.start("core", nil, append([]string{
		"kamailio", "-DD", "-E", "-m", "32", "-M", "4", "-f", cfg, "-w", s.dir, "-Y", s.dir,
	}, args...)...)
	eventually(s.t, patience, "the core answers", func() bool {
		c.running()
		_, err := c.ctl("core.uptime")
		return err == nil
	})
	return c
}

func (c *core) ctl(args ...string) (string, error) {
	return command(append([]string{"kamcmd", "-s", "unix:" + c.s.file("core.ctl")}, args...)...)
}

func (c *core) must(args ...string) string {
	c.s.t.Helper()
	out, err := c.ctl(args...)
	if err != nil {
		c.s.t.Fatal(err)
	}
	return out
}

// fault sets what happens to the NOTIFYs of a user: "lose-response", "silent",
// "480", "503;2".
func (c *core) fault(user, what string) {
	c.s.t.Helper()
	if len(what) == 3 {
		what = "s:" + what // kamcmd would make a number of it
	}
	c.must("htable.sets", "fault", user, what)
}

func (c *core) heal(user string) {
	c.s.t.Helper()
	c.must("htable.delete", "fault", user)
}

// habit switches a habit of the core for everybody: "challenge",
// "session-terminated".
func (c *core) habit(name string) {
	c.s.t.Helper()
	c.must("htable.sets", "switch", name, "s:1")
}

// freeze stops every process of the core, as if the machine hung.
func (c *core) freeze() {
	c.s.t.Cleanup(c.thaw)
	c.signal(syscall.SIGSTOP)
}

// thaw lets it go on.
func (c *core) thaw() { c.signal(syscall.SIGCONT) }

// killAll kills every process of the core.
func (c *core) killAll() {
	c.once.Do(func() {
		c.signal(syscall.SIGKILL)
		<-c.done
	})
}

// bound says whether the user has a binding (or this one, if a contact is given).
func (c *core) bound(user, contact string) bool {
	c.s.t.Helper()
	_, after, found := strings.Cut(c.must("ul.dump"), "AoR: "+user+"@ims.example")
	if !found {
		return false
	}
	mine, _, _ := strings.Cut(after, "AoR: ")
	return strings.Contains(mine, "Address: sip:"+contact)
}

// deregistered counts the REGISTERs with Expires: 0 that somebody else than the
// user sent for it.
func (c *core) deregistered(user string) int {
	return strings.Count(c.output(), "signed out by another: sip:"+user+"@")
}

// A presence is the Kamailio of docker/lab/kamailio-presence.cfg.
type presence struct {
	*process
	s *site
}

// startPresence starts the presence server of the site.
func (s *site) startPresence() *presence {
	s.t.Helper()
	p := &presence{s: s}
	cfg := s.write("presence.cfg", fmt.Sprintf(`#!KAMAILIO
#!substdef "!SERVER_IP!%s!g"
#!substdef "!RUN_DIR!%s!g"
include_file "%s"
`, s.ip(40), s.dir, lab(s.t, "kamailio-presence.cfg")))
	// With a write-ahead log, whoever reads the table is not in the server's way.
	statements := []string{"pragma journal_mode=wal"}
	for _, part := range []string{"standard", "presence"} {
		statements = append(statements, ".read /usr/share/kamailio/db_sqlite/"+part+"-create.sql")
	}
	for _, statement := range statements {
		if _, err := command("sqlite3", s.file("presence.db"), statement); err != nil {
			s.t.Fatal(err)
		}
	}
	p.process = s.start("presence", nil, "kamailio", "-DD", "-E", "-m", "128", "-M", "8", "-f", cfg, "-w", s.dir, "-Y", s.dir)
	eventually(s.t, patience, "the presence server answers", func() bool {
		p.running()
		_, err := command("kamcmd", "-s", "unix:"+s.file("presence.ctl"), "core.uptime")
		return err == nil
	})
	return p
}

// watchers are the Call-IDs of a user's subscriptions, as the database of the
// server has them.
func (p *presence) watchers(user string) []string {
	p.s.t.Helper()
	out, err := command("sqlite3", "-readonly", "-cmd", ".timeout 2000", p.s.file("presence.db"),
		"select callid from active_watchers where watcher_username='"+user+"' order by id")
	if err != nil {
		p.s.t.Fatal(err)
	}
	return strings.Fields(out)
}

// sipp starts a SIPp in the background, on port 5060 of an address of the site.
func (s *site) sipp(name string, last int, args ...string) *process {
	s.t.Helper()
	ip := s.ip(last)
	argv := append([]string{
		"sipp", "-i", ip, "-p", "5060", "-nostdin", "-m", "1",
		"-default_behaviors", "all,-bye",
		"-trace_msg", "-message_file", s.file(name + ".sip"),
		"-trace_err", "-error_file", s.file(name + ".err"),
	}, args...)
	return s.start(name, nil, argv...)
}

// scenario is the path of a SIPp scenario of the lab.
func scenario(t *testing.T, name string) string {
	return lab(t, filepath.Join("sipp", name+".xml"))
}

// published numbers the runs of publish, for the names of their logs.
var published atomic.Uint32

// publish lets a user's presence change, by SIPp through the core.
func (s *site) publish(user, note string) {
	s.t.Helper()
	p := s.sipp(fmt.Sprintf("publish-%s-%d", user, published.Add(1)), 49, s.ip(20)+":5060", "-timeout", "5s",
		"-sf", scenario(s.t, "publish"), "-key", "user", user, "-key", "basic", "open", "-key", "note", note)
	if err := p.wait(patience); err != nil {
		s.t.Fatalf("publish: %v\n%s", err, tail(s.file(p.name+".err")))
	}
}

// tail is the end of a file.
func tail(path string) string {
	b, _ := os.ReadFile(path)
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return string(b)
}
