package demo

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"rewatch/policy/alarm"
)

// alarmSink is a webhook (REWATCH_ALARM_WEBHOOK). It writes each alarm that rewatch sends to it on
// the ladder.
type alarmSink struct {
	flow     *flow
	listener net.Listener
	server   *http.Server
	ended    chan struct{}

	mu       sync.Mutex
	received []alarm.Alarm
}

func startAlarmSink(f *flow) (*alarmSink, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &alarmSink{flow: f, listener: l, ended: make(chan struct{})}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(s.ended)
		_ = s.server.Serve(l)
	}()
	return s, nil
}

func (s *alarmSink) url() string { return "http://" + s.listener.Addr().String() + "/alarms" }

func (s *alarmSink) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	<-s.ended
}

func (s *alarmSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var a alarm.Alarm
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&a); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.received = append(s.received, a)
	s.mu.Unlock()
	if a.ClearedAt == nil {
		s.flow.note(laneRewatch, "ALARM raised: "+a.Name+" "+a.Object, alarmed)
	} else {
		s.flow.note(laneRewatch, "alarm cleared: "+a.Name+" "+a.Object, good)
	}
}

// raised and cleared give the alarms that arrived of one name, about one user.
func (s *alarmSink) raised(name, user string) []alarm.Alarm  { return s.of(name, user, false) }
func (s *alarmSink) cleared(name, user string) []alarm.Alarm { return s.of(name, user, true) }

func (s *alarmSink) of(name, user string, cleared bool) []alarm.Alarm {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.received), func(a alarm.Alarm) bool {
		return a.Name != name || !strings.Contains(a.Object, user) || (a.ClearedAt != nil) != cleared
	})
}
