package simulate

import "time"

// pace lets requests of one kind begin at a limited rate, evenly, oldest first,
// and at most so many in each hour.
type pace struct {
	queue []*user
	head  int

	perStep float64 // 0 is no limit
	credit  float64
	cap     int      // per hour, 0 is none
	begun   []moment // in the last hour
}

func newPace(perSecond float64, perHour int) *pace {
	return &pace{perStep: perSecond * step.Seconds(), cap: perHour}
}

func (p *pace) push(u *user) { p.queue = append(p.queue, u) }

// begin gives the turns of one step.
func (p *pace) begin(now moment) {
	// What was not used is lost, or a quiet time would pay for a burst.
	p.credit = min(p.credit+p.perStep, max(p.perStep, 1))
	n := 0
	for n < len(p.begun) && now-p.begun[n] >= steps(time.Hour) {
		n++
	}
	p.begun = p.begun[n:]
}

// free tells whether a request may begin.
func (p *pace) free() bool { return p.perStep == 0 || p.credit >= 1 }

// next takes the next one whose turn it is, or nil.
func (p *pace) next() *user {
	if p.head == len(p.queue) {
		p.queue, p.head = p.queue[:0], 0
		return nil
	}
	if !p.free() || p.cap > 0 && len(p.begun) >= p.cap {
		return nil
	}
	u := p.queue[p.head]
	p.queue[p.head] = nil
	p.head++
	return u
}

// spend takes note that the request was really sent.
func (p *pace) spend(now moment) {
	p.credit--
	if p.cap > 0 {
		p.begun = append(p.begun, now)
	}
}
