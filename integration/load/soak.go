package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Soak is a long run: a server that tells its phones something all the time, through a
// network that loses datagrams, and a core that restarts and moves. The generator knows
// what every phone has answered and which of these answers were lost, so it can tell
// whether the target has judged each NOTIFY rightly.
type Soak struct {
	Users int
	// Rate is how many transactions begin in a second; Registers of a hundred are
	// third-party REGISTERs, the others NOTIFYs.
	Rate      float64
	Registers int
	// Air is the share of all datagrams, in each direction and on each side, that is lost;
	// as many come twice, and as many are overtaken.
	Air  float64
	Last time.Duration
	// The core restarts each Restart, and is away for Down. At the restarts whose numbers
	// (from 1) are in Moves it comes back at another address, and all phones go there.
	Restart, Down time.Duration
	Moves         []int
	Seed          uint64
}

// Verdicts tells how a soak has ended.
type Verdicts struct {
	Notified   int // NOTIFYs of which a datagram came to the target
	Delivered  int // of those, answered 2xx by the phone in time, by all that is known
	Failed     int // of those, ended for the server with another final response
	Unended    int // of those, without a final response for the server by Timer F
	Registered int // REGISTERs answered 2xx
	Subscribed int // SUBSCRIBEs answered 2xx
	Messages   int // MESSAGEs that came to phones
	Restarts   int
	Moved      int

	// The machine: datagrams that the kernel dropped at any of the sockets, which nobody
	// knows of, and the longest time that the generator did not get to run.
	Drops  int
	Paused time.Duration

	// What may not be.
	Misjudged int // failed for the server although the phone had answered 2xx
	Invented  int // 2xx for the server although no phone had said so
	Changed   int // final responses that were another one before
	Unheard   int // no final response by Timer F although none was lost on its way
	Strikes   int // MESSAGEs that count, though all failures are the core's and the network's
	Needless  int // MESSAGEs to phones whose subscription was well
	SignedOut int // REGISTERs of the target's own
	Refused   int // REGISTERs and SUBSCRIBEs answered otherwise than 2xx
	Without   int // phones that were left without a subscription
	Wrong     int // messages that were not what they should be
	Sample    string
}

// Faults is what was wrong, in words; empty: nothing.
func (v Verdicts) Faults() string {
	var list []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{v.Misjudged, "failed though the phone had answered 2xx"},
		{v.Invented, "2xx though no phone had answered so"},
		{v.Changed, "final responses that changed"},
		{v.Unheard, "without a final response though none was lost"},
		{v.Strikes, "MESSAGEs that count though it was the core"},
		{v.Needless, "MESSAGEs to phones that had lost nothing"},
		{v.SignedOut, "REGISTERs of the target's own"},
		{v.Refused, "REGISTERs or SUBSCRIBEs refused"},
		{v.Without, "phones left without a subscription"},
		{v.Wrong, "messages that are wrong"},
	} {
		if c.n > 0 {
			list = append(list, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(list) > 0 && v.Drops > 0 {
		list = append(list, fmt.Sprintf("and the machine is too slow: the kernel dropped %d datagrams", v.Drops))
	}
	if len(list) > 0 && v.Sample != "" {
		list = append(list, "the first:\n"+v.Sample)
	}
	return strings.Join(list, ", ")
}

func (v Verdicts) String() string {
	return fmt.Sprintf("%d NOTIFYs: %d delivered, %d failed, %d without an end; %d REGISTERs, %d SUBSCRIBEs, %d MESSAGEs; %d restarts, %d moves; %d datagrams dropped by the kernel, longest pause %v",
		v.Notified, v.Delivered, v.Failed, v.Unended, v.Registered, v.Subscribed, v.Messages,
		v.Restarts, v.Moved, v.Drops, v.Paused.Round(time.Millisecond))
}

// course is what the generator knows of a transaction in a soak.
type course struct {
	era     int8          // where the core was when it began
	life    uint8         // of the core, for what the core itself has begun
	reached bool          // a datagram of it came to the target
	done    bool          // it has a final response, or Timer F has fired
	status  byte          // first digit of that response
	muffled bool          // a response to it was lost on its way to the server
	came    bool          // to the phone, or the server
	well    bool          // and is answered 2xx there
	told    time.Duration // when the first answer came to the target; 0: never
}

// soak is a Soak under way.
type soak struct {
	*Generator
	Soak
	Verdicts
	air     *air
	town    *town
	timers  timerE
	courses []course
	eras    [][kinds]work // what messages look like, by where the core is
	cores   [][]byte      // the Record-Route of the core
	begin   time.Duration
	rest    bool // no more NOTIFYs
	era     int8
	life    uint8
	up      time.Duration // when the core is back; 0: it is there
	next    time.Duration // when it restarts
	sent    int
	open    int // NOTIFYs without an end
	subs    int // requests of phones so far
	// registers counts the REGISTERs, for their CSeq.
	registers uint32
	scratch   []byte
}

// soakLasts is how long a subscription lasts in a soak, in seconds. What has failed is
// remembered until then, so what the target holds is level after that time.
const soakLasts = 300

// Soak runs one. The target has to be new.
func (g *Generator) Soak(ctx context.Context, p Soak) (Verdicts, error) {
	g.cfg.Target.Lasts = soakLasts
	rnd := rand.New(rand.NewPCG(p.Seed, 1)) //nolint:gosec // chance, not secrecy
	s := &soak{
		Generator: g, Soak: p, begin: g.now(),
		air: &air{rnd: rnd, share: p.Air}, town: newTown(p.Users, rnd),
		courses: make([]course, g.cfg.Ring),
	}
	s.next = s.begin + p.Restart
	s.print()
	handle := g.handle
	defer func() { g.handle = handle }()
	for end := range g.handle {
		g.handle[end] = func(raw []byte, _ origin) { s.message(end, raw) }
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpen()
	g.run = new(run)
	err := s.live(ctx)
	s.Drops += dropsAt(s.address(s.era), s.cfg.Net.Server(), s.cfg.Target.CoreSide, s.cfg.Target.ServerSide)
	s.Without, s.Needless = s.town.without(), s.town.needless()
	return s.Verdicts, err
}

// live is the loop: until Last is over, and then until everything has come to its end.
func (s *soak) live(ctx context.Context) error {
	last := s.now()
	for step := 0; ; step++ {
		now := s.now()
		s.Paused, last = max(s.Paused, now-last), now
		if s.rest = now-s.begin > s.Last; s.rest && (now-s.begin > s.Last+settle || s.settled()) {
			return nil
		}
		if step&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.core(now); err != nil {
			return err
		}
		s.launch(now)
		s.repeat(now)
		for end, l := range s.ends {
			s.air.release(end, l, now)
		}
		busy, err := s.receive()
		if err != nil {
			return err
		}
		if !busy {
			s.ends[serverEnd].wait(s.ends[coreEnd], 200*time.Microsecond)
		}
	}
}

// settle is how long the last NOTIFYs, and the recovery of who broke last, may take.
const settle = 2 * time.Minute

// settled: the last NOTIFY has its end, and all phones have their subscriptions.
func (s *soak) settled() bool {
	return s.open == 0 && s.town.without() == 0 && len(s.town.queue) == 0
}

// addresses of the core, one after the other.
func (s *soak) address(era int8) netip.AddrPort { return s.cfg.Net.at(20+int(era), 5060) }

// core lets the core go and come.
func (s *soak) core(now time.Duration) (err error) {
	switch {
	case s.up == 0 && now >= s.next && !s.rest:
		s.air.release(coreEnd, s.ends[coreEnd], now+longestHold)
		if err := s.ends[coreEnd].flush(); err != nil {
			return err
		}
		s.Drops += dropsAt(s.address(s.era))
		s.ends[coreEnd].close()
		s.ends[coreEnd] = nobody{}
		s.up, s.next = now+s.Down, s.next+s.Restart
		s.Restarts++
		s.life++
	case s.up > 0 && now >= s.up:
		s.up = 0
		moves := slices.Contains(s.Moves, s.Restarts)
		if moves {
			s.era++
			s.Moved++
		}
		if s.ends[coreEnd], err = openLink(s.cfg.Network, s.address(s.era), s.cfg.Target.CoreSide); err != nil {
			s.ends[coreEnd] = nobody{}
			return err
		}
		if s.town.restarted(); moves {
			s.town.wake()
		}
	}
	return nil
}

// print makes the texts of all messages, once with a guess of the server's route set and
// once when that is known.
func (s *soak) print() {
	s.eras, s.cores = nil, nil
	for era := range len(s.Moves) + 1 {
		at := s.address(int8(era)) //nolint:gosec // small
		s.eras = append(s.eras, newWorks(s.cfg.Net, at, s.cfg.Target, s.cfg.Network, s.routes))
		line := newTexts(s.cfg.Net, at, s.cfg.Target, s.cfg.Network).compile(coreRecordRoute)
		s.cores = append(s.cores, line.text)
	}
}

// nobody is an end that is not there.
type nobody struct{}

func (nobody) receive(func([]byte, origin)) (bool, error) { return false, nil }
func (nobody) begin() []byte                              { return nil }
func (nobody) request([]byte)                             {}
func (nobody) reply([]byte, origin)                       {}
func (nobody) flush() error                               { return nil }
func (nobody) backlog() int                               { return 0 }
func (nobody) wait(link, time.Duration)                   {}
func (nobody) descriptors() []int                         { return nil }
func (nobody) close()                                     {}
