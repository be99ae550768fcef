package admin

import (
	"encoding/json"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// The bounds of ?limit=.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// routeAPI adds the API. An address of record stands in the path as one escaped
// segment: /api/v1/watchers/sip:alice@ims.example or, with a slash in it, %2F.
func (a *Admin) routeAPI(mux *http.ServeMux) {
	read := func(path string, answer http.HandlerFunc) { mux.HandleFunc(path, readOnly(a.guard.bounded(answer))) }
	read("/api/v1/summary", a.summary)
	read("/api/v1/watchers", a.watchers)
	read("/api/v1/subscriptions", paged(a.backend.Subscriptions))
	read("/api/v1/recoveries", paged(a.backend.Recoveries))
	a.routeCaptures(read)
	read("/api/v1/alarms", a.alarms)
	read("/api/v1/clients", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, Page{Items: a.backend.Clients()})
	})
	read("/api/v1/watchers/{aor}", a.watcher)
	mux.HandleFunc("/api/v1/watchers/{aor}/reset", a.change("reset", a.backend.Reset))
	mux.HandleFunc("/api/v1/watchers/{aor}/unban", a.change("unban", a.backend.Unban))
	a.routeControls(mux)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "there is no "+r.URL.Path+"; the API is at /api/v1/: summary, watchers, subscriptions, recoveries, alarms, clients, hold, dry-run, log-level")
	})
}

func paged(list func(limit int, after string) Page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if limit, ok := limitOf(w, r); ok {
			writePage(w, limit, r.URL.Query().Get("after"), list)
		}
	}
}

func (a *Admin) watchers(w http.ResponseWriter, r *http.Request) {
	paged(func(limit int, after string) Page {
		return a.backend.Watchers(limit, after, r.URL.Query().Get("find"))
	})(w, r)
}

// alarms shows the active alarms, the latest ones if they are very many.
func (a *Admin) alarms(w http.ResponseWriter, _ *http.Request) {
	writePage(w, maxLimit, "", func(limit int, _ string) Page { return Page{Items: a.backend.Alarms(limit)} })
}

func (a *Admin) watcher(w http.ResponseWriter, r *http.Request) {
	aor := r.PathValue("aor")
	found, ok := a.backend.Watcher(aor)
	if !ok {
		writeError(w, http.StatusNotFound, "nothing is known of the watcher "+aor)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

// change is a POST that changes something about one user.
func (a *Admin) change(what string, do func(aor string) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !methodIs(w, r, http.MethodPost) || !a.authorized(w, r) {
			return
		}
		aor := r.PathValue("aor")
		if !do(aor) {
			writeError(w, http.StatusNotFound, "nothing is known of the watcher "+aor)
			return
		}
		a.record(r, what, aor, "", "")
		writeJSON(w, http.StatusOK, done{Done: what, AOR: aor, Kept: true})
	}
}

// record writes to the audit log what an administrator did, from which address, and for which reason.
func (a *Admin) record(r *http.Request, action, user, reason, detail string) {
	if reason == "" {
		reason = "asked for by the API"
	}
	who := "administrator"
	if user, _, ok := r.BasicAuth(); ok && a.web != nil {
		who += " " + user
	}
	a.backend.Audit(who+" at "+peer(r), action, user, reason, detail)
}

// peer is the address that a request came from, without the port.
func peer(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// limitOf reads ?limit=. false: the value is wrong, and an error was answered.
func limitOf(w http.ResponseWriter, r *http.Request) (int, bool) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		writeError(w, http.StatusBadRequest, "limit is a whole number from 1 to "+strconv.Itoa(maxLimit))
		return 0, false
	}
	return n, true
}

// readOnly lets GET and HEAD pass.
func readOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if methodIs(w, r, http.MethodGet, http.MethodHead) {
			next(w, r)
		}
	}
}

func methodIs(w http.ResponseWriter, r *http.Request, allowed ...string) bool {
	if slices.Contains(allowed, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeError(w, http.StatusMethodNotAllowed, r.Method+" is not possible here, only "+strings.Join(allowed, " and "))
	return false
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) //nolint:gosec // JSON, with nosniff: no browser takes it for HTML.
}

// writePage writes a part of a list: as many entries as an answer has room for, but at least one. Peers
// choose how long an entry is, so the room may be used up before limit. The next part begins with the
// first entry that was left out.
func writePage(w http.ResponseWriter, limit int, after string, list func(limit int, after string) Page) {
	for {
		page := list(limit, after)
		text, fit, err := encodeItems(reflect.ValueOf(page.Items))
		switch {
		case err != nil:
			writeError(w, http.StatusInternalServerError, err.Error())
			return
		case fit < limit && fit < reflect.ValueOf(page.Items).Len():
			limit = fit
			continue
		}
		page.Items = json.RawMessage(text)
		writeJSON(w, http.StatusOK, page)
		return
	}
}

// encodeItems encodes the first entries of a slice, as many as fit into an answer; fit is their number.
func encodeItems(items reflect.Value) (text []byte, fit int, err error) {
	text = append(text, '[')
	for ; fit < items.Len(); fit++ {
		item, err := json.Marshal(items.Index(fit).Interface())
		if err != nil {
			return nil, 0, err
		}
		if fit > 0 && len(text)+len(item) > maxAnswer {
			break
		}
		if fit > 0 {
			text = append(text, ',')
		}
		text = append(text, item...)
	}
	return append(text, ']'), fit, nil
}

// apiError is the body of every answer that is not 2xx.
type apiError struct {
	Error string `json:"error"`
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, apiError{Error: text})
}
