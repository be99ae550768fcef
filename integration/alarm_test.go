//go:build integration

package integration

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// An alarmPost is what the webhook gets.
type alarmPost struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Object    string  `json:"object"`
	Severity  string  `json:"severity"`
	ClearedAt *string `json:"cleared_at"`
}

// A webhook receives alarms.
type webhook struct {
	url string

	mu    sync.Mutex
	posts []alarmPost
	texts strings.Builder // all that came
}

// text is all that came.
func (w *webhook) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.texts.String()
}

// startWebhook starts a receiver of alarms at an address of the site.
func (s *site) startWebhook() *webhook {
	s.t.Helper()
	w := &webhook{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var p alarmPost
		if err := json.Unmarshal(b, &p); err != nil {
			s.t.Errorf("webhook: %v in %s", err, b)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.posts = append(w.posts, p)
		_, _ = w.texts.Write(append(b, '\n'))
	}))
	l, err := net.Listen("tcp4", s.ip(60)+":8080")
	if err != nil {
		s.t.Fatal(err)
	}
	srv.Listener = l
	srv.Start()
	s.t.Cleanup(srv.Close)
	w.url = srv.URL + "/alarm"
	return w
}

// of are the posts for an alarm of a user: raised ones, or cleared ones.
func (w *webhook) of(name, user string, cleared bool) []alarmPost {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []alarmPost
	for _, p := range w.posts {
		if p.Name == name && strings.Contains(p.Object, user+"@") && (p.ClearedAt != nil) == cleared {
			list = append(list, p)
		}
	}
	return list
}

// about is how many posts there were about an alarm of an object, or of any.
func (w *webhook) about(name, object string, cleared bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range w.posts {
		if p.Name == name && (object == "" || p.Object == object) && (p.ClearedAt != nil) == cleared {
			n++
		}
	}
	return n
}

// startAlertmanager starts a real Alertmanager and returns its URL.
func (s *site) startAlertmanager() string {
	s.t.Helper()
	addr := s.ip(60) + ":9093"
	cfg := s.write("alertmanager.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n")
	p := s.start("alertmanager", nil, "prometheus-alertmanager", "--config.file="+cfg,
		"--storage.path="+s.file("alertmanager"), "--web.listen-address="+addr, "--cluster.listen-address=")
	eventually(s.t, 2*patience, "Alertmanager is ready", func() bool {
		p.running()
		r, err := http.Get("http://" + addr + "/-/ready")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return "http://" + addr
}

// alertsText is what Alertmanager says of its active alerts.
func (s *site) alertsText(base string) string {
	s.t.Helper()
	r, err := http.Get(base + "/api/v2/alerts?active=true")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// alerts are the active alerts of a name for a user, as Alertmanager has them.
func (s *site) alerts(base, name, user string) int {
	s.t.Helper()
	var list []struct {
		Labels map[string]string `json:"labels"`
	}
	if err := json.Unmarshal([]byte(s.alertsText(base)), &list); err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, a := range list {
		if a.Labels["alertname"] == name && strings.Contains(a.Labels["object"], user) {
			n++
		}
	}
	return n
}
