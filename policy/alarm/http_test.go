package alarm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// receiver is an HTTP server without a network, so that synctest can follow.
type receiver struct {
	mu     sync.Mutex
	status int
	posts  []delivery
}

type delivery struct {
	at        time.Time
	url, body string
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts = append(r.posts, delivery{time.Now(), req.URL.String(), string(body)})
	if r.status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{
		StatusCode: r.status, Status: fmt.Sprint(r.status), Header: http.Header{},
		Body: io.NopCloser(strings.NewReader("ok")), Request: req,
	}, nil
}

func (r *receiver) set(status int) {
	r.mu.Lock()
	r.status = status
	r.mu.Unlock()
}

func (r *receiver) client() *http.Client { return &http.Client{Transport: r} }

func TestWebhook(t *testing.T) {
	got := make(chan map[string]any, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var v map[string]any
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil || r.Method != http.MethodPost ||
			r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v: %v", r.Method, r.Header, err)
		}
		got <- v
	}))
	defer srv.Close()
	m := New(Config{Sinks: NewWebhooks([]string{srv.URL + "/hook"}, srv.Client())})
	m.Start(context.Background())
	m.Raise(Alarm{Name: WatcherExhausted, Object: "sip:alice@ims.example", Text: "3 of 3"})
	m.Clear(WatcherExhausted, "sip:alice@ims.example", time.Time{})
	shut(t, m)
	raise, clear := <-got, <-got
	if raise["state"] != "raised" || raise["object"] != "sip:alice@ims.example" || raise["cleared_at"] != nil || raise["text"] != "3 of 3" {
		t.Errorf("raise %v", raise)
	}
	if clear["state"] != "cleared" || clear["id"] != raise["id"] || clear["cleared_at"] == nil {
		t.Errorf("clear %v", clear)
	}
}

func TestWebhookStatus(t *testing.T) {
	for status, retried := range map[int]bool{0: true, 302: true, 400: false, 404: false, 408: true, 429: true, 500: true, 503: true} {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{status: status}
			m := New(Config{Sinks: NewWebhooks([]string{"http://a/x?token=secret", "http://b/"}, r.client())})
			m.Start(context.Background())
			m.Raise(Alarm{Name: ServerDown, Object: "s"})
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if n := len(r.posts); n < 2 || (n > 2) != retried {
				t.Errorf("%d: %d posts to two URLs", status, n)
			}
			r.set(200)
			time.Sleep(time.Minute)
			shut(t, m)
		})
	}
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	w := NewWebhooks([]string{"http://user:pw@a.example/path?token=secret"}, (&receiver{}).client())[0]
	err := w.Deliver(context.Background(), Alarm{})
	for _, s := range []string{"secret", "pw", "path"} {
		if strings.Contains(err.Error()+w.Name(), s) {
			t.Errorf("%s is in %v or %s", s, err, w.Name())
		}
	}
}

func alerts(t *testing.T, p delivery) []alert {
	t.Helper()
	var list []alert
	if err := json.Unmarshal([]byte(p.body), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAlertmanager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{status: 200}
		m := New(Config{Sinks: NewAlertmanagers([]string{"http://am/prefix/"}, r.client())})
		m.Start(context.Background())
		start := time.Now()
		time.Sleep(10 * time.Second)
		m.Raise(Alarm{Name: WatcherExhausted, Object: "sip:alice@ims.example", Text: "three of three"})
		time.Sleep(3 * time.Minute)
		m.Clear(WatcherExhausted, "sip:alice@ims.example", time.Time{})
		time.Sleep(10 * time.Minute)
		shut(t, m)
		var at []string
		for i, p := range r.posts {
			at = append(at, p.at.Sub(start).String())
			a := alerts(t, p)[0]
			hold := a.EndsAt.Sub(p.at)
			if last := i == len(r.posts)-1; last && hold != 0 || !last && hold != amHold {
				t.Errorf("post %d holds for %v", i, hold)
			}
			if p.url != "http://am/prefix/api/v2/alerts" || a.StartsAt.Sub(start) != 10*time.Second {
				t.Errorf("%s: %s", p.url, p.body)
			}
			if got, want := fmt.Sprint(a.Labels), "map[alertname:watcher-exhausted aor:sip:alice@ims.example "+
				"event_type:qualityOfService object:sip:alice@ims.example probable_cause:thresholdCrossed "+
				"service:rewatch severity:minor]"; got != want {
				t.Errorf("labels %s", got)
			}
			if a.Annotations["description"] != "three of three" || a.Annotations["id"] == "" || a.Annotations["summary"] == "" {
				t.Errorf("annotations %v", a.Annotations)
			}
		}
		if got := strings.Join(at, " "); got != "10s 1m0s 2m0s 3m0s 3m10s" {
			t.Errorf("posted at %s", got)
		}
	})
}

func TestAlertmanagerURLs(t *testing.T) {
	for base, want := range map[string]string{
		"http://am:9093":     "http://am:9093/api/v2/alerts",
		"http://am:9093/":    "http://am:9093/api/v2/alerts",
		"http://am/x/y/":     "http://am/x/y/api/v2/alerts",
		"https://am.example": "https://am.example/api/v2/alerts",
	} {
		if got := NewAlertmanagers([]string{base}, nil)[0].(*alertmanager).target; got != want {
			t.Errorf("%s: %s", base, got)
		}
	}
}

func TestEveryAlertmanagerGetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{status: 200}
		m := New(Config{Sinks: NewAlertmanagers([]string{"http://a", "http://b"}, r.client())})
		m.Start(context.Background())
		for i := range amBatch + 50 {
			m.Raise(Alarm{Name: WatcherBanned, Object: fmt.Sprint(i)})
		}
		synctest.Wait()
		if len(r.posts) != 2*(amBatch+50) {
			t.Errorf("%d posts", len(r.posts))
		}
		r.mu.Lock()
		r.posts = nil
		r.mu.Unlock()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		per := map[string]int{}
		for _, p := range r.posts {
			per[p.url] += len(alerts(t, p))
		}
		if len(r.posts) != 4 || per["http://a/api/v2/alerts"] != amBatch+50 || per["http://b/api/v2/alerts"] != amBatch+50 {
			t.Errorf("%d posts, %v", len(r.posts), per)
		}
		shut(t, m)
	})
}

// A redirect is followed by no sink, and is no delivery: the alarm is told again until
// the receiver itself has taken it.
func TestRedirectIsNoDelivery(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			var strays, asked atomic.Int32
			elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strays.Add(1) }))
			defer elsewhere.Close()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= 2 { // the first of each sink
					http.Redirect(w, r, elsewhere.URL+"/login", code)
				}
			}))
			defer srv.Close()
			m := New(Config{Sinks: append(NewWebhooks([]string{srv.URL}, srv.Client()), NewAlertmanagers([]string{srv.URL}, nil)...)})
			m.Start(context.Background())
			m.Raise(Alarm{Name: ServerDown, Object: "sip:server"})
			shut(t, m)
			if strays.Load() != 0 {
				t.Error("another host was told")
			}
			if asked.Load() != 4 {
				t.Errorf("the receiver was asked %d times, want twice by each sink", asked.Load())
			}
			if srv.Client().CheckRedirect != nil {
				t.Error("the caller's client was changed")
			}
		})
	}
}

// Every alarm has a name of its own in the table, and words that a reader can use.
func TestAlarmTable(t *testing.T) {
	if len(Names()) != len(kinds) {
		t.Errorf("%d names, %d kinds", len(Names()), len(kinds))
	}
	for _, name := range Names() {
		a := fill(Alarm{Name: name})
		if a.EventType == "" || a.ProbableCause == "" || a.Severity == "" || !strings.HasSuffix(a.Text, ".") {
			t.Errorf("%s: %+v", name, a)
		}
		at := time.Now()
		a.ClearedAt = &at
		if c := a.Shown(); c.Severity != Cleared || c.Text == a.Text || !strings.HasSuffix(c.Text, ".") {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if s := fill(Alarm{Name: HeldByHand}).Severity; s != Warning {
		t.Errorf("held-by-hand is %s", s)
	}
	if s := fill(Alarm{Name: StateLost}).Severity; s != Major {
		t.Errorf("state-lost is %s", s)
	}
}

// Sinks, log included, are told of an alarm as it is to be shown, at each repetition
// too; who asks here sees it as it was raised.
func TestShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.set(200)
		var log bytes.Buffer
		m := New(Config{
			Sinks: append(NewWebhooks([]string{"http://h"}, r.client()), NewAlertmanagers([]string{"http://am"}, r.client())...),
			Log:   zerolog.New(&log), Shown: func(a Alarm) Alarm { a.Object, a.Text = "somebody", "hidden"; return a },
		})
		m.Start(context.Background())
		m.Raise(Alarm{Name: WatcherExhausted, Object: "sip:alice@ims.example", Text: "alice"})
		time.Sleep(3 * amInterval)
		if a := m.Active(); len(a) != 1 || a[0].Object != "sip:alice@ims.example" {
			t.Errorf("%v", a)
		}
		m.Clear(WatcherExhausted, "sip:alice@ims.example", time.Time{})
		shut(t, m)
		if len(r.posts) < 6 {
			t.Errorf("%d posts", len(r.posts))
		}
		for _, p := range r.posts {
			if strings.Contains(p.body, "alice") || !strings.Contains(p.body, "somebody") {
				t.Errorf("told %s", p.body)
			}
		}
		if strings.Contains(log.String(), "alice") {
			t.Errorf("logged %s", log.String())
		}
	})
}
