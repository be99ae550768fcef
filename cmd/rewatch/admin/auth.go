package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rewatch/cmd/rewatch/config"
)

// authorized says whether a request may change something. If not, an error was answered. A browser
// sends cookies with the requests of a foreign page, but not a token in a header, so no further
// protection against foreign pages is needed.
func (a *Admin) authorized(w http.ResponseWriter, r *http.Request) bool {
	if a.token == "" {
		writeError(w, http.StatusForbidden, "the API only reads: REWATCH_ADMIN_TOKEN is not set")
		return false
	}
	given, any := a.tokenOf(r)
	if any && sameSecret(given, a.token.Reveal()) {
		return true
	}
	if any {
		a.punish(r)
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="rewatch"`)
	writeError(w, http.StatusUnauthorized, "a bearer token is needed: Authorization: Bearer <REWATCH_ADMIN_TOKEN>, or X-Rewatch-Token: <REWATCH_ADMIN_TOKEN>")
	return false
}

// tokenOf is the token of a request; false if there is none. The token may be in X-Rewatch-Token, because
// Authorization may have a password in it.
func (a *Admin) tokenOf(r *http.Request) (string, bool) {
	if own := r.Header.Values("X-Rewatch-Token"); len(own) > 0 {
		return strings.TrimSpace(own[0]), true
	}
	header := r.Header.Get("Authorization")
	scheme, given, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", header != "" && a.web == nil // else it is the password
	}
	return strings.TrimSpace(given), true
}

// sameSecret compares a guess with the token. It takes the same time for every wrong guess, whatever its
// length.
func sameSecret(given, token string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// A wrong token costs wrongTokenTime, and only maxWrongTokens pay it at a time: so
// many guesses in a second are possible, over however many connections they come. A
// right token waits for nobody.
const (
	wrongTokenTime = time.Second
	maxWrongTokens = 4
)

// punish counts a wrong token, writes it to the audit log, and waits.
func (a *Admin) punish(r *http.Request) {
	a.deny(r, refusedToken, "a change was asked for with a wrong token, and refused")
}

// wrongPassword does the same for a wrong password.
func (a *Admin) wrongPassword(r *http.Request) {
	a.deny(r, refusedPassword, "the admin port was asked with a wrong password, and refused")
}

func (a *Admin) deny(r *http.Request, what, why string) {
	a.guard.refused.WithLabelValues(what).Inc()
	ctx, done := context.WithTimeout(r.Context(), 10*a.cost)
	defer done()
	select {
	case a.wrong <- struct{}{}:
		defer func() { <-a.wrong }()
	case <-ctx.Done():
		return
	}
	a.backend.Audit("unknown at "+peer(r), wasDenied, "", why, "")
	cost := time.NewTimer(a.cost)
	defer cost.Stop()
	select {
	case <-cost.C:
	case <-ctx.Done():
	}
}

// hosted lets requests pass whose Host is an address, localhost, or a name of REWATCH_ADMIN_HOSTS.
// Otherwise a web page could let its own name point to rewatch (DNS rebinding), and read and change
// what the browser of its visitor can reach. Probes pass with any Host: they show and change nothing.
func (a *Admin) hosted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r.URL.Path) || a.ownHost(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		a.guard.refused.WithLabelValues(refusedHost).Inc()
		writeError(w, http.StatusMisdirectedRequest, "rewatch is not addressed by this name; use an address, localhost, or a name of REWATCH_ADMIN_HOSTS")
	})
}

func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" }

// ownHost says whether a Host header names rewatch. It is empty in HTTP/1.0, which no browser uses.
func (a *Admin) ownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host == "" || host == "localhost" || slices.Contains(a.hosts, config.HostName(host))
}
