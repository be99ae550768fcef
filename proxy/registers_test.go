package proxy

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rewatch/dialogs"
	"rewatch/proxy/route"
)

// shelf is a Registers that writes down what it is given.
type shelf struct {
	mu    sync.Mutex
	kept  map[string]string
	given []string
	off   bool
}

func (s *shelf) Keep(user, raw []byte, expires int, _ time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string]string{}
	}
	s.kept[string(user)] = string(raw)
	s.given = append(s.given, fmt.Sprint(string(user), " ", expires))
}

func (s *shelf) On() bool { return !s.off }

func (s *shelf) Keeps(user []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[string(user)] != ""
}

// took gives whose were kept since it was asked last.
func (s *shelf) took() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.given, ", ")
	s.given = nil
	return all
}

func keepOn(s *shelf) option { return func(c *Config) { c.Registers = s } }

const aThirdParty = `REGISTER sip:bob@10.0.0.1:5060 SIP/2.0
Via: SIP/2.0/%T 10.0.0.2:5060;branch=z9hG4bK-r%
Route: <sip:10.0.0.1:5060;lr>
Max-Forwards: 70
From: <sip:scscf.ims.example>;tag=s%
To: <sip:Bob@IMS.example>
Call-ID: third%
CSeq: % REGISTER
m: <sip:scscf.ims.example;lr>;q=0.5
Expires: 600
P-Unknown: kept as
  it is
`

func thirdParty(number string, changes ...string) string {
	return strings.NewReplacer(append(changes, "%T", "UDP", "%", number)...).Replace(aThirdParty)
}

// gone makes the server refuse datagrams.
func (r *rig) gone() {
	_ = r.server.conn.Close()
	r.pass(2 * time.Second)
}

// While the server is down a third-party REGISTER is answered as the server would, and kept
// as it was to arrive; the Monitor knows.
func TestRegisterIsAnsweredForTheServer(t *testing.T) {
	var asked atomic.Int64
	var answers atomic.Bool
	kept := &shelf{}
	play(t, func(r *rig) {
		r.gone()
		r.up(false, "refused")
		r.core.send(coreSide, thirdParty("1"))
		r.core.exactly(`SIP/2.0 200 OK
Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK-r1
From: <sip:scscf.ims.example>;tag=s1
To: <sip:Bob@IMS.example>;tag=OURS
Call-ID: third1
CSeq: 1 REGISTER
m: <sip:scscf.ims.example;lr>;q=0.5
Expires: 600
Content-Length: 0
`)
		same(r.T, kept.kept["sip:Bob@ims.example"], crlf(`REGISTER sip:bob@10.0.0.1:5060 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK-r1
Max-Forwards: 69
From: <sip:scscf.ims.example>;tag=s1
To: <sip:Bob@IMS.example>
Call-ID: third1
CSeq: 1 REGISTER
m: <sip:scscf.ims.example;lr>;q=0.5
Expires: 600
P-Unknown: kept as
  it is
Content-Length: 0
`))
		if got, want := r.monitor.told(), "REGISTER third1; REGISTER done 200"; got != want {
			t.Errorf("told %q", got)
		}
		r.core.send(coreSide, thirdParty("2", "Expires: 600", "Expires: 0"))
		if got := r.core.want("SIP/2.0 200"); !strings.Contains(got, "\r\nExpires: 0\r\n") {
			t.Errorf("got %q", got)
		}
		if got, want := kept.took(), "sip:Bob@ims.example 600, sip:Bob@ims.example 0"; got != want {
			t.Errorf("kept %q", got)
		}
	}, care(&asked, &answers), keepOn(kept))
}

// Others are none of it: a user's own REGISTER, one that the core asserts to be a user's, one
// whose user is banned, and whatever is no REGISTER.
func TestOthersAreNotAnsweredForTheServer(t *testing.T) {
	var asked atomic.Int64
	var answers atomic.Bool
	kept := &shelf{}
	play(t, func(r *rig) {
		r.gone()
		for _, msg := range []string{
			thirdParty("1", "<sip:scscf.ims.example>;tag=s%", "<sip:Bob@ims.EXAMPLE:5060>;tag=s%", "<sip:Bob@IMS.example>", "<sip:Bob@IMS.example:5060>"),
			thirdParty("2", "<sip:scscf.ims.example>;tag=s%", "<sip:Bob@ims.EXAMPLE>;tag=s%"),
			thirdParty("3", "P-Unknown", "P-Asserted-Identity: <tel:+4930>, <sip:mallory@ims.example>\nP-Unknown"),
			subscribeNumber("4"),
		} {
			r.core.send(coreSide, msg)
			got := r.core.want("SIP/2.0 503")
			if strings.HasPrefix(msg, "REGISTER") != strings.Contains(got, "\r\nRetry-After: ") {
				t.Errorf("got %q", got)
			}
		}
		r.core.send(coreSide, thirdParty("6", "P-Unknown", "P-Asserted-Identity: <sip:scscf.ims.example>\nP-Unknown"))
		r.core.want("SIP/2.0 200") // the S-CSCF asserts itself
		if got := kept.took(); got != "sip:Bob@ims.example 600" {
			t.Errorf("kept %q", got)
		}
		r.monitor.register = dialogs.Ruling{Status: 403, Reason: "Forbidden"}
		r.core.send(coreSide, thirdParty("5", "Bob", "carol"))
		r.core.want("SIP/2.0 403")
		if got := kept.took(); got != "" {
			t.Errorf("kept %q", got)
		}
	}, care(&asked, &answers), keepOn(kept))
}

// Without REWATCH_REGISTER_FALLBACK the S-CSCF hears when to come again.
func TestRegisterIsRefusedForAWhile(t *testing.T) {
	var asked atomic.Int64
	var answers atomic.Bool
	play(t, func(r *rig) {
		r.gone()
		r.core.send(coreSide, thirdParty("1"))
		if got := r.core.want("SIP/2.0 503"); !strings.Contains(got, "\r\nRetry-After: ") {
			t.Errorf("got %q", got)
		}
		x := r.dial("10.0.0.2", coreSide)
		x.send(thirdParty("2", "%T", "TCP"))
		if got := x.want("SIP/2.0 503"); !strings.Contains(got, "\r\nRetry-After: ") {
			t.Errorf("got %q", got)
		}
	}, care(&asked, &answers))
}

// Who only observes answers for nobody.
func TestObserverAnswersNoRegister(t *testing.T) {
	kept := &shelf{off: true, kept: map[string]string{"sip:Bob@ims.example": "x"}}
	play(t, func(r *rig) {
		r.core.send(coreSide, thirdParty("1"))
		r.server.want("REGISTER")
		_ = r.server.conn.Close()
		x := r.dial("10.0.0.2", coreSide)
		x.send(thirdParty("2", "%T", "TCP"))
		x.want("SIP/2.0 503")
		if got := kept.took(); got != "" {
			t.Errorf("kept %q", got)
		}
	}, keepOn(kept))
}

// A server that is up has every REGISTER itself, and its answer is the answer; but of a
// user of whom an older one is kept the next follows that.
func TestServerThatIsUpAnswersItself(t *testing.T) {
	kept := &shelf{}
	play(t, func(r *rig) {
		r.core.send(coreSide, thirdParty("1"))
		r.server.send(serverSide, reply(r.server.want("REGISTER"), "403 Forbidden"))
		r.core.want("SIP/2.0 403")
		r.core.send(coreSide, thirdParty("2"))
		r.server.send(serverSide, reply(r.server.want("REGISTER"), "503 Service Unavailable"))
		r.core.want("SIP/2.0 503")
		kept.kept = map[string]string{"sip:carol@ims.example": "x"}
		r.core.send(coreSide, thirdParty("3", "Bob", "carol"))
		r.core.want("SIP/2.0 200")
		r.server.nothing()
		if got, want := kept.took(), "sip:carol@ims.example 600"; got != want {
			t.Errorf("kept %q", got)
		}
	}, keepOn(kept))
}

// A REGISTER that is open when the server goes is answered then, by UDP and by TCP, also
// where the server is silent rather than refusing.
func TestOpenRegisterIsAnsweredWhenTheServerGoes(t *testing.T) {
	var asked atomic.Int64
	var answers atomic.Bool
	kept := &shelf{}
	play(t, func(r *rig) {
		x := r.dial("10.0.0.2", coreSide)
		x.send(thirdParty("1", "%T", "TCP", "Bob", "alice"))
		r.core.send(coreSide, thirdParty("2"))
		r.pass(12 * time.Second)
		r.up(false, "no answer")
		x.want("SIP/2.0 100")
		x.want("SIP/2.0 200")
		if got := r.core.want("SIP/2.0 "); strings.HasPrefix(got, "SIP/2.0 100") {
			r.core.want("SIP/2.0 200")
		}
		r.core.send(coreSide, thirdParty("2")) // its retransmission
		r.core.want("SIP/2.0 200")
		if got := kept.took(); strings.Count(got, ",") != 1 {
			t.Errorf("kept %q", got)
		}
	}, care(&asked, &answers), keepOn(kept))
}

// A refusal, a name that leads nowhere and a broken connection are the same to the S-CSCF.
func TestRegisterWithoutAWayIsAnswered(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		kept := &shelf{}
		play(t, func(r *rig) {
			_ = r.server.conn.Close()
			r.core.send(coreSide, thirdParty("1"))
			r.core.want("SIP/2.0 200")
		}, keepOn(kept))
	})
	t.Run("name", func(t *testing.T) {
		kept := &shelf{}
		play(t, func(r *rig) {
			r.core.send(coreSide, thirdParty("1"))
			r.names.learn("server.example", route.ErrNoHop)
			r.names.learn("server.example", route.ErrNoHop) // it is asked once more
			r.core.want("SIP/2.0 200")
		}, keepOn(kept), func(c *Config) { c.Server = "sip:server.example" })
	})
	t.Run("tcp", func(t *testing.T) {
		kept := &shelf{}
		play(t, func(r *rig) {
			r.core.send(coreSide, thirdParty("1"))
			r.core.want("SIP/2.0 200")
		}, keepOn(kept), func(c *Config) { c.Server += ";transport=tcp" })
	})
}
