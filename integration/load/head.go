package load

import "bytes"

// maxRecordRoutes is more than any target adds.
const maxRecordRoutes = 8

// head is what comes before From in a message: the part that proxies change.
type head struct {
	vias         int
	viaAt        int // offset of the first Via
	second       int // offset of the second one
	viaEnd       int // behind the last one
	recordRoute  [maxRecordRoutes][]byte
	recordRoutes int
	rest         []byte // Max-Forwards and Route, as they stand together
	restAt       int
	odd          bool // a line that has no business here, or one out of its place
	tail         int  // offset of From
}

var (
	viaLine         = []byte("Via: ")
	recordRouteLine = []byte("Record-Route: ")
	routeLine       = []byte("Route: ")
	maxForwardsLine = []byte("Max-Forwards: ")
	fromLine        = []byte("From: ")
)

// scan reads the lines between the start line and From. The order in which a
// proxy inserts its lines is its own affair; lines of one kind have to stand
// together, as they were sent.
func (h *head) scan(raw []byte) bool {
	*h = head{}
	at := nextLine(raw, 0)
	for at > 0 {
		line := raw[at:]
		next := nextLine(raw, at)
		switch {
		case bytes.HasPrefix(line, viaLine):
			h.via(at, next)
		case bytes.HasPrefix(line, maxForwardsLine), bytes.HasPrefix(line, routeLine):
			h.addRest(raw, at, next)
		case bytes.HasPrefix(line, recordRouteLine):
			h.addRecordRoute(raw[at:max(next, at)])
		case bytes.HasPrefix(line, fromLine):
			h.tail = at
			return h.vias > 0
		default:
			h.odd = true
		}
		at = next
	}
	return false
}

func (h *head) via(at, next int) {
	switch h.vias {
	case 0:
		h.viaAt = at
	case 1:
		h.second = at
	}
	if h.vias > 0 && h.viaEnd != at {
		h.odd = true
	}
	h.vias++
	h.viaEnd = next
}

// addRecordRoute notes a line; those of a proxy need not stand beside ours.
func (h *head) addRecordRoute(line []byte) {
	if h.recordRoutes == maxRecordRoutes {
		h.odd = true
		return
	}
	h.recordRoute[h.recordRoutes] = line
	h.recordRoutes++
}

func (h *head) addRest(raw []byte, at, next int) {
	if h.rest == nil {
		h.restAt = at
	} else if h.restAt+len(h.rest) != at {
		h.odd = true
	}
	h.rest = raw[h.restAt:max(next, h.restAt)]
}

// nextLine is the offset of the line after the one at, 0 if there is none.
func nextLine(raw []byte, at int) int {
	i := bytes.IndexByte(raw[at:], '\n')
	if i < 0 {
		return 0
	}
	return at + i + 1
}
