package load

import (
	"fmt"
	"strings"
	"time"
)

// Phase is one stretch of load.
type Phase struct {
	Kind Kind
	// Rate is how many transactions begin in a second, evenly spaced. 0: as many
	// as the target takes, with Window of them open at a time.
	Rate   float64
	Window int
	// The phase ends after Duration or Count transactions, whichever comes first
	// and is not 0.
	Duration time.Duration
	Count    int
	// Dialogs is how many dialogs (or users, for REGISTER) the work is spread
	// over. A SUBSCRIBE opens a new one each time.
	Dialogs int
	// First is the number of the first of them.
	First int
	// Mute of every 100 dialogs are not answered.
	Mute int
	// Vary is by how many bytes the NOTIFYs of different dialogs, and their answers,
	// differ in length, as those of a real server do; 0: not at all.
	Vary int
	// Drain is how long to wait for answers at the end.
	Drain time.Duration
}

func (p *Phase) defaults() {
	if p.Window == 0 {
		p.Window = 256
	}
	if p.Dialogs == 0 {
		p.Dialogs = 1
	}
	p.Vary = min(p.Vary, maxFiller)
	if p.Drain == 0 {
		p.Drain = time.Second
	}
}

// Late is when an answer is late: after T1 a server would have sent the request
// again (RFC 3261 17.1.2.1).
const Late = 500 * time.Millisecond

// Counts tells what became of the transactions of a phase.
type Counts struct {
	Sent          int // requests
	Arrived       int // requests that came through, looked at and right
	Answered      int // answers that came back, looked at and right
	Late          int // of those, after more than Late
	Lost          int // no answer at all
	Wrong         int // messages that were not what they should be
	Retransmitted int // requests and answers that came a second time
	Rejected      int // final responses other than 2xx
	Muted         int // requests that were left without an answer on purpose
	Ended         int // of those, answered by the target itself
	Stray         int // messages of a phase that had ended
	Foreign       int // requests of others, such as MESSAGE, answered
	Behind        int // transactions that were open when the last one was sent
}

// Clean tells whether all went as it should.
func (c Counts) Clean() bool {
	return c.Lost == 0 && c.Late == 0 && c.Wrong == 0 && c.Rejected == 0 && c.Retransmitted == 0
}

func (c Counts) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d sent, %d answered", c.Sent, c.Answered)
	add := func(n int, what string) {
		if n > 0 {
			fmt.Fprintf(&s, ", %d %s", n, what)
		}
	}
	add(c.Late, "late")
	add(c.Lost, "lost")
	add(c.Wrong, "wrong")
	add(c.Retransmitted, "retransmitted")
	add(c.Rejected, "rejected")
	add(c.Muted, "left unanswered")
	add(c.Ended, "of them ended by the target")
	add(c.Stray, "stray")
	add(c.Foreign, "of the target's own")
	return s.String()
}

// Result is what a phase has measured.
type Result struct {
	Counts
	// Elapsed is how long requests were sent.
	Elapsed time.Duration
	// Latency is from sending a request to receiving its answer.
	Latency *Histogram
	// Sample is the first message that was wrong.
	Sample string
	// Drops is how many datagrams the kernel dropped at the generator itself.
	Drops int
}

// Rate is how many transactions were completed in a second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Answered+r.Ended) / r.Elapsed.Seconds()
}

// pace decides how many transactions begin now.
type pace struct {
	rate   float64
	window int
	count  int // 0: no limit
	last   time.Duration
}

// due is how many may begin at a time on the phase's clock, with sent begun and
// open unfinished; at most a batch, so that receiving is never put off for long.
func (p *pace) due(at time.Duration, sent, open int) int {
	n := p.window - open
	if p.rate > 0 {
		n = int(at.Seconds()*p.rate) + 1 - sent
	}
	if p.count > 0 {
		n = min(n, p.count-sent)
	}
	return max(0, min(n, batchSize))
}

// over tells whether no more will begin.
func (p *pace) over(at time.Duration, sent int) bool {
	return p.count > 0 && sent >= p.count || p.last > 0 && at >= p.last
}

// until is how long nothing is due.
func (p *pace) until(at time.Duration, sent int) time.Duration {
	if p.rate <= 0 {
		return time.Millisecond
	}
	return time.Duration(float64(sent)/p.rate*1e9) - at
}
