//go:build integration

package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// readers take all that the admin port has: connections that say nothing, say half of it or do
// not read the answer, tokens that are wrong, and a name that is not rewatch's.
type readers struct{}

func (*readers) settings(*site) env { return env{"REWATCH_ADMIN_TOKEN": "right-token-0123456789"} }

// kubelet is how long a probe may take: the default timeoutSeconds of Kubernetes.
const kubelet = time.Second

func (a *readers) attack(b *bystanders, round int) {
	n := 64
	if round == 0 {
		n = 320 // more than there may be
	}
	for i := range n {
		a.connect(b, []string{
			"", "GET /hea", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "\x16\x03\x01\x02\x00",
			strings.Repeat("GET /api/v1/subscriptions?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n", 100),
			"POST /api/v1/watchers/sip:" + honestUser(i%manyHonest) + "@ims.example/reset HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\nContent-Length: 0\r\n\r\n",
			"POST /api/v1/watchers/x/reset HTTP/1.1\r\nHost: localhost\r\nX-Rewatch-Token: right-token-0123456789\r\nContent-Length: 4000000\r\n\r\n" + strings.Repeat("x", 3000),
		}[i%7])
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200} {
		for _, host := range []string{"", "evil.example"} { // a probe passes by any name
			if status, took := a.ask(b, "GET", path, host, ""); status != want {
				b.Fatalf("round %d: %s by the name %q: %d after %v", round, path, host, status, took)
			}
		}
	}
	for _, path := range []string{"/metrics", "/api/v1/watchers", "/"} {
		if status, _ := a.ask(b, "GET", path, "evil.example:9090", ""); status != http.StatusMisdirectedRequest {
			b.Fatalf("round %d: %s by another name: %d", round, path, status)
		}
	}
	if status, took := a.ask(b, "POST", "/api/v1/watchers/sip:mallory@ims.example/reset", "", "right-token-0123456789"); status != http.StatusNotFound && status != http.StatusOK {
		b.Fatalf("round %d: a change with the token: %d after %v", round, status, took)
	}
}

func (a *readers) connect(b *bystanders, says string) {
	conn, err := net.DialTimeout("tcp", b.s.ip(30)+":9090", patience)
	if err != nil {
		b.Fatal(err)
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(2048)
	b.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = conn.Write([]byte(says))
}

func (a *readers) ask(b *bystanders, method, path, host, token string) (status int, took time.Duration) {
	b.Helper()
	began := time.Now()
	req, err := http.NewRequest(method, "http://"+b.s.ip(30)+":9090"+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Host = host
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Timeout: kubelet, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		b.Log(err)
		return 0, time.Since(began)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, time.Since(began)
}

func (a *readers) judge(b *bystanders) {
	eventually(b.T, patience, "metrics are there", func() bool { status, _ := b.r.get("/metrics"); return status == 200 })
	for _, what := range []string{"connection", "host", "token"} {
		if b.r.metric("rewatch_admin_refused_total", fmt.Sprintf("what=%q", what)) == 0 {
			b.Errorf("no %s was refused", what)
		}
	}
}
