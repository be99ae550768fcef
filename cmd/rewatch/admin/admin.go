// Package admin serves what is not SIP: metrics, probes, the API and the console.
// It shows and changes a Backend, which it declares and the sidecar implements, so
// that it knows neither the proxy nor the recovery. If it fails, SIP goes on.
package admin

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/webconfig"
)

// Backend is what the admin server shows and changes. A result of type any is encoded as JSON; if the
// text says that it is a list, it is a slice.
type Backend interface {
	// Ready lists the conditions of readiness, all of which have to be OK.
	Ready() []Condition
	// Watchers, Subscriptions and Recoveries return at most limit entries. after is the Next of an
	// earlier Page, empty at the beginning. Watchers returns only users with find in their address;
	// Recoveries returns those that run first, then those that have ended, the newest first.
	Watchers(limit int, after, find string) Page
	Subscriptions(limit int, after string) Page
	Recoveries(limit int, after string) Page
	// Watcher returns everything that is known of one user; false if nothing is known.
	Watcher(aor string) (any, bool)
	// Clients lists, for each family of clients, what broke and what brought them back.
	Clients() any
	// Alarms returns the active ones, the latest if there are more than limit.
	Alarms(limit int) any
	// Reset removes the count and the ban of a user, Unban only the ban; false if nothing is known of
	// the user.
	Reset(aor string) bool
	Unban(aor string) bool
	// Audit writes down what an administrator did. user is empty if it concerns no user in
	// particular.
	Audit(actor, action, user, reason, detail string)
	Controls
	Captures
}

// Condition is one condition of readiness.
type Condition struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Page is a part of a long list. Next is the "after" of the request for the following part; it is empty
// at the end of the list.
type Page struct {
	Items any    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// Admin serves metrics, probes, the API and the console. It has no part in the
// SIP path: if it fails, SIP goes on.
type Admin struct {
	backend  Backend
	gatherer prometheus.Gatherer
	guard    *guard
	token    config.Secret
	hosts    []config.HostName
	wrong    chan struct{} // the requests that pay for a wrong token
	cost     time.Duration // what each of them pays
	started  time.Time
	web      *webconfig.File // nil: everybody may read
	server   *http.Server
	listener net.Listener
}

// New makes the server without listening.
func New(cfg config.AdminConfig, backend Backend, registry *prometheus.Registry, log zerolog.Logger) *Admin {
	a := &Admin{
		backend: backend, gatherer: registry, guard: newGuard(registry),
		token: cfg.Token, hosts: cfg.Hosts, wrong: make(chan struct{}, maxWrongTokens), cost: wrongTokenTime,
		started: time.Now(),
	}
	a.server = &http.Server{
		Addr:              cfg.Listen,
		Handler:           a.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          stdlog.New(log, "", 0),
	}
	a.guard.watch(a.server)
	return a
}

// Protect protects the server as a web configuration says, all but the probes. It is called before Listen.
func (a *Admin) Protect(file *webconfig.File) {
	file.Refused = a.wrongPassword
	a.web = file
	a.server.Handler = file.Handler(a.server.Handler, func(r *http.Request) bool { return isProbe(r.URL.Path) })
}

// Listen opens the port. It is called before SIP starts, so that a port in use stops the start.
func (a *Admin) Listen(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.server.Addr)
	if err != nil {
		return fmt.Errorf("REWATCH_ADMIN_LISTEN: %w", err)
	}
	a.listener = l
	if a.web == nil {
		return nil
	}
	if a.listener, err = a.web.Listen(l); err != nil {
		return errors.Join(fmt.Errorf("REWATCH_ADMIN_WEB_CONFIG: %w", err), l.Close())
	}
	return nil
}

// Addr is the address that Listen took.
func (a *Admin) Addr() net.Addr { return a.listener.Addr() }

// Close closes the port if Serve is never called.
func (a *Admin) Close() error { return a.listener.Close() }

// Serve answers until Shutdown; it returns nil then.
func (a *Admin) Serve() error {
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}

// Shutdown lets running requests finish, until ctx ends.
func (a *Admin) Shutdown(ctx context.Context) error {
	if err := a.server.Shutdown(ctx); err != nil {
		return errors.Join(err, a.server.Close())
	}
	return nil
}

// Handler answers all requests of the admin server.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", readOnly(a.healthz))
	mux.HandleFunc("/readyz", readOnly(a.readyz))
	mux.HandleFunc("/metrics", readOnly(a.guard.bounded(a.metrics().ServeHTTP)))
	a.routeAPI(mux)
	a.routePprof(mux)
	mux.HandleFunc("/", readOnly(a.console()))
	const bodyLimit = 4 << 10 // no request of ours has a body to speak of
	return secured(a.hosted(http.MaxBytesHandler(mux, bodyLimit)))
}

func (a *Admin) metrics() http.Handler {
	return promhttp.HandlerFor(a.gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError,
	})
}

// healthz says that the process answers, and nothing else: a liveness probe that fails restarts the
// process, which would not help if the fault is elsewhere.
func (a *Admin) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, "ok")
}

// secured sets the headers that tell a browser to trust nothing but this origin.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
