package budget

import (
	"context"
	"time"
)

// Table is a table that grows with the number of users.
type Table struct {
	// Usage is the memory of the table now, in bytes. Tighten(true) has the table take nothing
	// more, Tighten(false) ends that.
	Usage   func() int64
	Tighten func(tight bool)
	tight   bool
}

// Pool divides memory among tables. One half is divided evenly, so that each table has a part of its
// own; the other half is common, for the tables that need more.
type Pool struct {
	bytes  int64
	tables []*Table
	// Changed, if set, is told when a table may take nothing more, or may again.
	Changed func(tight bool, used int64)
}

// NewPool makes a Pool of so many bytes for some tables.
func NewPool(bytes int64, tables ...*Table) *Pool { return &Pool{bytes: bytes, tables: tables} }

// checkEvery is the pause between two checks, in which the tables can grow by little only.
const checkEvery = 50 * time.Millisecond

// Run checks the tables every checkEvery until ctx ends.
func (p *Pool) Run(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.check()
		}
	}
}

// check stops the growth of each table that has used up its own part, if the common half is used up
// as well.
func (p *Pool) check() {
	own := p.bytes / 2 / int64(len(p.tables))
	var used, common int64
	for _, t := range p.tables {
		n := t.Usage()
		used += n
		common += max(0, n-own)
	}
	for _, t := range p.tables {
		tight := common >= p.bytes/2 && t.Usage() >= own
		if tight == t.tight {
			continue
		}
		t.tight = tight
		t.Tighten(tight)
		if p.Changed != nil {
			p.Changed(tight, used)
		}
	}
}
