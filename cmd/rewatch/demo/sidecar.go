package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/sidecar"
)

// instance is one rewatch, run as in production and configured by environment variables alone.
type instance struct {
	environ  cli.Environ
	coreSide string // its SIP URI for the core
	admin    string // host:port
	log      *tail
	cancel   context.CancelFunc
	ended    chan struct{}
	err      error // valid once ended is closed
}

func startSidecar(ctx context.Context, core netip.AddrPort, server, webhook string, variables []variable) (*instance, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	at := func(i int) string { return "127.0.0.1:" + strconv.Itoa(ports[i]) }
	s := &instance{
		coreSide: "sip:" + at(0),
		admin:    at(2),
		log:      new(tail),
		ended:    make(chan struct{}),
		environ: cli.Environ{
			"REWATCH_SERVER":        server + ";transport=udp",
			"REWATCH_CORE":          "sip:" + core.String() + ";transport=udp",
			"REWATCH_LISTEN":        "udp://" + at(0) + ",tcp://" + at(0),
			"REWATCH_SERVER_LISTEN": "udp://" + at(1) + ",tcp://" + at(1),
			"REWATCH_ADMIN_LISTEN":  at(2),
			"REWATCH_ALARM_WEBHOOK": webhook,
			"REWATCH_DRAIN":         "1s",
		},
	}
	for _, v := range variables {
		s.environ[v.name] = v.value
	}
	cfg, err := config.Load(s.environ)
	if err != nil {
		return nil, err
	}
	// Not the caller's context: Ctrl-C stops rewatch by stop, before its peers.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go func() {
		defer close(s.ended)
		s.err = sidecar.Run(run, cfg, sidecar.Reload{}, s.log)
	}()
	return s, nil
}

// variable is one of the environment.
type variable struct{ name, value string }

// shortTimers are what the demo changes so that nobody has to wait; the defaults
// are 28s, 500ms and 30s.
var shortTimers = []variable{
	{"REWATCH_NOTIFY_TIMEOUT", "1s"},
	{"REWATCH_COALESCE", "200ms"},
	{"REWATCH_RESUBSCRIBE_TIMEOUT", "3s"},
}

func (st *stage) shortened() []string {
	var all []string
	for _, v := range shortTimers {
		all = append(all, strings.TrimPrefix(v.name, "REWATCH_")+"="+v.value)
	}
	return all
}

func (s *instance) url(path string) string { return "http://" + s.admin + path }

// ready waits until /readyz says so.
func (s *instance) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		status, body, err := s.get(ctx, "/readyz")
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("rewatch did not start: %w", s.err)
		case <-ctx.Done():
			return fmt.Errorf("rewatch does not get ready: %s\n%s", strings.TrimSpace(body), s.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// get asks the admin server. The verdict is wanted even when the show has run
// out of time, so only its own patience ends it.
func (s *instance) get(ctx context.Context, path string) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(path), nil)
	if err != nil {
		return 0, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, string(body), err
}

// metric is one value of /metrics, by its name and labels; 0 if it is not there.
func (s *instance) metric(ctx context.Context, series string) float64 {
	_, body, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return v
		}
	}
	return 0
}

// stop ends rewatch in order and waits for it.
func (s *instance) stop() {
	s.cancel()
	<-s.ended
	if s.err != nil && !errors.Is(s.err, context.Canceled) {
		_, _ = fmt.Fprintln(s.log, "rewatch:", s.err)
	}
}

// tail keeps the end of rewatch's log, to be shown if the demo fails.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if cut := len(t.buf) - tailSize; cut > 0 {
		if nl := bytes.IndexByte(t.buf[cut:], '\n'); nl >= 0 {
			cut += nl + 1
		}
		t.buf = append(t.buf[:0], t.buf[cut:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
