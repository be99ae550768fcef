//go:build integration

package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// badSinks are receivers of alarms that send elsewhere, refuse, say nothing and hang, beside a
// good one. Only a 2xx of the host itself is a delivery, and none waits for another.
type badSinks struct {
	good    *webhook
	reached <-chan string

	mu    sync.Mutex
	posts map[string][]string // by the name of the sink: the ids of the alarms
}

func (a *badSinks) settings(s *site) env {
	a.good, a.posts = s.startWebhook(), map[string][]string{}
	a.reached = s.forbidden(66, 80)
	elsewhere := "http://" + s.ip(66) + "/login"
	sinks := []string{a.good.url}
	for i, name := range []string{"301", "302", "303", "307", "308", "204", "500", "400", "hangs", "trickles"} {
		sinks = append(sinks, a.start(s, 61+i, name, elsewhere))
	}
	return env{
		"REWATCH_ALARM_WEBHOOK": strings.Join(sinks, ","), "REWATCH_ALARM_ALERTMANAGER": a.start(s, 75, "307", elsewhere),
		"REWATCH_DEREGISTER_HOOK": "POST " + a.start(s, 76, "307", elsewhere), "REWATCH_DEREGISTER_HOOK_TOKEN": "secret",
	}
}

func (a *badSinks) start(s *site, last int, name, elsewhere string) (url string) {
	l, err := net.Listen("tcp4", s.ip(last)+":8080")
	if err != nil {
		s.t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, id, _ := strings.Cut(string(body), `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		a.mu.Lock()
		a.posts[name] = append(a.posts[name], id)
		a.mu.Unlock()
		switch name {
		case "hangs":
			<-r.Context().Done()
		case "trickles": // a body without end
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 4096))
			}
		default:
			status := 0
			_, _ = fmt.Sscan(name, &status)
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(status)
		}
	}))
	srv.Listener = l
	srv.Start()
	s.t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL + "/alarm"
}

func (a *badSinks) attack(b *bystanders, round int) { b.fails(malloryOf(round)) }

// got are the alarms that a sink was told of, each once, and how often it was told.
func (a *badSinks) got(name string) (alarms, posts int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := map[string]bool{}
	for _, id := range a.posts[name] {
		ids[id] = true
	}
	return len(ids), len(a.posts[name])
}

func (a *badSinks) judge(b *bystanders) {
	for i := range 3 {
		eventually(b.T, patience, "the good sink has the alarm", func() bool { return len(a.good.of("watcher-exhausted", malloryOf(i), false)) > 0 })
	}
	eventually(b.T, patience, "so has the one that answers 204", func() bool { alarms, _ := a.got("204"); return alarms >= 3 })
	for _, name := range []string{"301", "302", "303", "307", "308", "500"} {
		eventually(b.T, patience, "it was no delivery: "+name, func() bool { _, posts := a.got(name); return posts >= 2 })
	}
	for _, name := range []string{"301", "302", "303", "308", "500"} {
		if alarms, _ := a.got(name); alarms != 1 {
			b.Errorf("%s: %d alarms, where the first was never delivered", name, alarms)
		}
	}
	if alarms, _ := a.got("400"); alarms < 3 {
		b.Errorf("400: %d alarms, where a refusal is for good", alarms)
	}
	select {
	case from := <-a.reached:
		b.Errorf("what a sink named was reached, from %s", from)
	default:
	}
}
