package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The ends of the generator.
const (
	coreEnd = iota
	serverEnd
)

// Config is what a Generator needs.
type Config struct {
	Net     Net
	Network string // udp or tcp
	Target  Target
	// Ring is how many transactions are remembered; 0: 1<<19.
	Ring int
	// Spin keeps the thread from sleeping while nothing is due. Times are then
	// exact to the microsecond, but a core is gone, and where there are only two
	// a target with two threads waits for it.
	Spin bool
}

// Generator is both neighbours of a target. It is used from one goroutine.
type Generator struct {
	cfg     Config
	ends    [2]link
	works   [kinds]work
	check   checker
	pending *pending
	begun   [kinds]int // transactions so far, over all phases
	opened  int        // dialogs so far
	routes  []string   // the server's route set, learnt from the first SUBSCRIBE
	core    []byte     // the Record-Route of the core
	clock   time.Time
	head    head
	run     *run
	handle  [2]func(raw []byte, from origin) // made once, so that receiving allocates nothing
}

// Open binds the addresses of both neighbours, so that the target finds them
// when it is started.
func Open(cfg Config) (*Generator, error) {
	if cfg.Ring == 0 {
		cfg.Ring = 1 << 19
	}
	g := &Generator{cfg: cfg, pending: newPending(cfg.Ring), clock: time.Now()}
	g.works = newWorks(cfg.Net, cfg.Net.Core(), cfg.Target, cfg.Network, nil)
	g.check = checker{target: cfg.Target, works: &g.works}
	core := newTexts(cfg.Net, cfg.Net.Core(), cfg.Target, cfg.Network).compile(coreRecordRoute)
	g.core = core.text
	for end := range g.handle {
		g.handle[end] = func(raw []byte, from origin) { g.message(end, raw, from) }
	}
	var err error
	if g.ends[coreEnd], err = openLink(cfg.Network, cfg.Net.Core(), cfg.Target.CoreSide); err != nil {
		return nil, err
	}
	if g.ends[serverEnd], err = openLink(cfg.Network, cfg.Net.Server(), cfg.Target.ServerSide); err != nil {
		g.ends[coreEnd].close()
		return nil, err
	}
	return g, nil
}

// Close gives the addresses back.
func (g *Generator) Close() {
	for _, e := range g.ends {
		e.close()
	}
}

// run is a phase under way.
type run struct {
	Phase
	pace
	Result
	first    uint64 // number of the first transaction
	begin    time.Duration
	progress time.Duration // when something was last answered
}

func (g *Generator) now() time.Duration { return time.Since(g.clock) }

// Run makes load for one phase.
func (g *Generator) Run(ctx context.Context, p Phase) (Result, error) {
	p.defaults()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpen()
	if err := g.dial(p.Kind); err != nil {
		return Result{}, err
	}
	drops := g.drops()
	now := g.now()
	g.run = &run{
		Phase: p, pace: pace{rate: p.Rate, window: p.Window, count: p.Count, last: p.Duration},
		first: g.pending.next, begin: now, progress: now,
	}
	g.run.Latency = new(Histogram)
	g.check.sample = ""
	err := g.send(ctx)
	g.run.Elapsed = g.now() - g.run.begin
	g.run.Behind = g.pending.open
	if err == nil {
		err = g.drain(ctx)
	}
	g.run.Lost += g.pending.abandon()
	g.run.Drops = g.drops() - drops
	g.run.Sample = g.check.sample
	return g.run.Result, err
}

// Idle answers what others ask, until it is told to stop, and tells how many
// requests that were.
func (g *Generator) Idle(ctx context.Context, until func() bool) (answered int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g.run = &run{first: g.pending.next}
	for !until() && err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		var busy bool
		if busy, err = g.receive(); !busy {
			g.ends[coreEnd].wait(g.ends[serverEnd], 5*time.Millisecond)
		}
	}
	return g.run.Foreign, err
}

// maxBacklog: a target that leaves so much unread does not keep up, and to wait
// would only fill memory.
const maxBacklog = 64 << 20

func (g *Generator) send(ctx context.Context) error {
	r, from := g.run, g.ends[sender(g.run.Kind)]
	for step := 0; ; step++ {
		at := g.now() - r.begin
		if r.over(at, r.Sent) {
			return nil
		}
		if step&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if from.backlog() > maxBacklog {
			return nil
		}
		g.refill()
		for range r.due(at, r.Sent, g.pending.open) {
			g.launch(from)
		}
		busy, err := g.receive()
		if err != nil {
			return err
		}
		if until := r.until(at, r.Sent); !busy && !g.cfg.Spin && until > 0 {
			from.wait(g.ends[1-sender(r.Kind)], min(until, 5*time.Millisecond))
		}
	}
}

// refill gives a window up for lost that has not moved for long, so that a
// closed loop goes on after a loss.
func (g *Generator) refill() {
	r := g.run
	if r.rate > 0 || g.pending.open < r.window || g.now()-r.progress < Late {
		return
	}
	r.Lost += g.pending.abandon()
	r.progress = g.now()
}

func (g *Generator) drain(ctx context.Context) error {
	end := g.now() + g.run.Drain
	for g.pending.open+g.pending.muted > 0 && g.now() < end {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		busy, err := g.receive()
		if err != nil {
			return err
		}
		if !busy && !g.cfg.Spin {
			g.ends[coreEnd].wait(g.ends[serverEnd], time.Millisecond)
		}
	}
	return nil
}

func sender(k Kind) int {
	if k == Notify {
		return serverEnd
	}
	return coreEnd
}

// firstCSeq has as many digits as a template leaves for it.
const firstCSeq = 1000001

// launch begins one transaction.
func (g *Generator) launch(from link) {
	r := g.run
	dialog, round := g.choose(r.Kind)
	o := open{kind: r.Kind, sent: g.now()}
	o.dialog, o.cseq = uint32(dialog), uint32(firstCSeq+round) //nolint:gosec // small
	o.mute = dialog%100 < r.Mute
	if r.Vary > 0 {
		o.more = uint16(mix(uint64(o.dialog)+3<<40) % uint64(r.Vary)) //nolint:gosec // at most maxFiller
	}
	seq, lost := g.pending.add(o)
	if lost {
		r.Lost++
	}
	o.seq = seq
	var recordRoute []byte
	if r.Kind == Subscribe {
		recordRoute = g.core
	}
	from.request(g.works[r.Kind].appendRequest(from.begin(), o.transaction, recordRoute))
	r.Sent++
}

// choose gives the next dialog: a new one for a SUBSCRIBE, else all in turn, in
// an order that no cache can guess.
func (g *Generator) choose(k Kind) (dialog, round int) {
	n := g.begun[k]
	g.begun[k]++
	if k == Subscribe {
		g.opened++
		return g.opened - 1, 0
	}
	size := g.run.Dialogs
	return g.run.First + n%size*stride(size)%size, n / size
}

// Opened is how many dialogs were begun so far; the next has that number.
func (g *Generator) Opened() int { return g.opened }

// stride is a step that has no factor in common with n, near its golden section.
func stride(n int) int {
	s := max(1, int(float64(n)*0.6180339887))
	for gcd(s, n) != 1 {
		s++
	}
	return s
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// learn takes the server's route set from a SUBSCRIBE: what the target put on top
// of the core's own entry.
func (g *Generator) learn(h *head) {
	if g.cfg.Target.Transparent || g.routes != nil {
		return
	}
	for _, line := range h.recordRoute[:h.recordRoutes] {
		if bytes.Equal(line, g.core) {
			break
		}
		uri := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(line)), "Record-Route: <"), ">")
		g.routes = append(g.routes, uri)
	}
	g.works = newWorks(g.cfg.Net, g.cfg.Net.Core(), g.cfg.Target, g.cfg.Network, slices.Clip(g.routes))
}

// dial makes the connection that a kind of work needs, over TCP.
func (g *Generator) dial(k Kind) error {
	d, ok := g.ends[sender(k)].(interface{ connect() error })
	if !ok {
		return nil
	}
	if err := d.connect(); err != nil {
		return errors.Join(errGone, fmt.Errorf("%s: %w", k, err))
	}
	return nil
}
