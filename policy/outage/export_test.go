package outage

import "time"

func (k NoticeKind) String() string { return [...]string{"began", "ended", "settled"}[k] }

func (v Verdict) String() string {
	return [...]string{"proven", "ask", "wait", "unproven", "outage"}[v]
}

// Ended is when the last hold ended that a hop is judged by; zero: there was none.
func (p *Paths) Ended(hop string) time.Time { return p.find(hop).ended }
