package demo

import "rewatch/integration/peers"

// script is the reference flow, and notes which of its messages were seen. The zero script has no
// steps, so it numbers nothing.
type script struct {
	steps []scriptStep
}

// scriptStep is one message of the reference flow. It is recognised where it arrives, because then
// the step is done.
type scriptStep struct {
	no       int
	method   string
	response bool
	to       lane
	lost     bool
	seen     bool
}

const referenceSteps = 20

// referenceFlow is the flow of the README, steps 1 to 20. A step with two entries is a request and
// its response, or two hops of one message.
func referenceFlow() *script {
	return &script{steps: []scriptStep{
		{no: 1, method: "REGISTER", to: laneCore},
		{no: 1, method: "REGISTER", response: true, to: lanePhone},
		{no: 2, method: "REGISTER", to: laneServer},
		{no: 2, method: "REGISTER", response: true, to: laneCore},
		{no: 3, method: "SUBSCRIBE", to: laneCore},
		{no: 4, method: "SUBSCRIBE", to: laneServer},
		{no: 5, method: "SUBSCRIBE", response: true, to: laneCore},
		{no: 6, method: "SUBSCRIBE", response: true, to: lanePhone},
		{no: 7, method: "NOTIFY", to: laneCore},
		{no: 7, method: "NOTIFY", to: lanePhone},
		{no: 8, method: "NOTIFY", response: true, to: laneCore, lost: true},
		{no: 9, method: "MESSAGE", to: laneCore},
		{no: 10, method: "MESSAGE", to: lanePhone},
		{no: 11, method: "MESSAGE", response: true, to: laneCore},
		{no: 12, method: "MESSAGE", response: true, to: laneRewatch},
		{no: 13, method: "SUBSCRIBE", to: laneCore},
		{no: 14, method: "SUBSCRIBE", to: laneServer},
		{no: 15, method: "SUBSCRIBE", response: true, to: laneCore},
		{no: 16, method: "SUBSCRIBE", response: true, to: lanePhone},
		{no: 17, method: "NOTIFY", to: laneCore},
		{no: 18, method: "NOTIFY", to: lanePhone},
		{no: 19, method: "NOTIFY", response: true, to: laneCore},
		{no: 20, method: "NOTIFY", response: true, to: laneServer},
	}}
}

// number gives the number of the step that a message is; 0: it is none. Each entry is used once, in
// order.
func (s *script) number(a arrow, p peers.Passed) int {
	if p.Status >= 300 {
		return 0
	}
	for i := range s.steps {
		step := &s.steps[i]
		if !step.seen && step.method == p.Method && step.response == a.response &&
			step.to == a.to && step.lost == a.lost {
			step.seen = true
			return step.no
		}
	}
	return 0
}

// seen counts the steps whose messages were all seen.
func (s *script) seen() int {
	missing := make(map[int]bool)
	for _, step := range s.steps {
		if !step.seen {
			missing[step.no] = true
		}
	}
	return referenceSteps - len(missing)
}
