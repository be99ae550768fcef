package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Controls are the changes that an operator makes while rewatch runs.
type Controls interface {
	// Hold stops every MESSAGE, strike and sign-out until Resume; it outlives a restart. Resume is
	// false if there is no such hold. ResumeHop ends the hold of one next hop, which rewatch has
	// begun by itself; false if the hop is not held.
	Hold(reason string)
	Resume() bool
	ResumeHop(hop string) bool
	// Holds lists the holds, by hand and of next hops.
	Holds() any
	// SetDryRun has rewatch observe only, or act again. SetLogLevel is false if there is no such
	// level. After a restart both are as the environment says.
	SetDryRun(on bool)
	DryRun() bool
	SetLogLevel(level string) bool
	LogLevel() string
	// Modes lists the modes that are on now, as in the metric rewatch_mode.
	Modes() []string
}

// The actions of an administrator, as the audit file has them.
const (
	didHold     = "hold"
	didResume   = "resume"
	didDryRun   = "dry-run"
	didLogLevel = "log-level"
	wasDenied   = "denied"
)

// maxReason bounds the reason that an operator gives, in bytes.
const maxReason = 500

func (a *Admin) routeControls(mux *http.ServeMux) {
	control := func(path string, show func() any, change map[string]http.HandlerFunc) {
		allowed := []string{http.MethodGet, http.MethodHead}
		for _, method := range []string{http.MethodPut, http.MethodDelete} {
			if change[method] != nil {
				allowed = append(allowed, method)
			}
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			switch do := change[r.Method]; {
			case !methodIs(w, r, allowed...):
			case do == nil:
				a.guard.bounded(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, show()) })(w, r)
			case a.authorized(w, r):
				do(w, r)
			}
		})
	}
	b := a.backend
	control("/api/v1/hold", func() any { return Page{Items: b.Holds()} },
		map[string]http.HandlerFunc{http.MethodPut: a.hold, http.MethodDelete: a.resume})
	control("/api/v1/dry-run", func() any { return map[string]bool{"on": b.DryRun()} },
		map[string]http.HandlerFunc{http.MethodPut: a.dryRun})
	control("/api/v1/log-level", func() any { return map[string]string{"level": b.LogLevel()} },
		map[string]http.HandlerFunc{http.MethodPut: a.logLevel})
}

func (a *Admin) hold(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Reason string `json:"reason"`
	}
	if !decode(w, r, &asked, `{"reason":"why"}`) {
		return
	}
	reason := strings.Join(strings.Fields(asked.Reason), " ")
	if reason == "" || len(reason) > maxReason {
		writeError(w, http.StatusBadRequest, `a hold needs a reason of at most 500 bytes: {"reason":"why"}`)
		return
	}
	a.backend.Hold(reason)
	a.record(r, didHold, "", reason, "")
	writeJSON(w, http.StatusOK, done{Done: didHold, Reason: reason, Kept: true})
}

func (a *Admin) resume(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("hop") {
		hop := r.URL.Query().Get("hop")
		if !a.backend.ResumeHop(hop) {
			writeError(w, http.StatusNotFound, "the hop "+hop+" is not held")
			return
		}
		a.record(r, didResume, "", "", hop)
		writeJSON(w, http.StatusOK, done{Done: didResume, Hop: hop})
		return
	}
	if !a.backend.Resume() {
		writeError(w, http.StatusNotFound, "recovery is not held by hand")
		return
	}
	a.record(r, didResume, "", "", "")
	writeJSON(w, http.StatusOK, done{Done: didResume, Kept: true})
}

func (a *Admin) dryRun(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		On *bool `json:"on"`
	}
	if !decode(w, r, &asked, `{"on":true}`) {
		return
	}
	if asked.On == nil {
		writeError(w, http.StatusBadRequest, `say whether: {"on":true} or {"on":false}`)
		return
	}
	a.backend.SetDryRun(*asked.On)
	word := "off"
	if *asked.On {
		word = "on"
	}
	a.record(r, didDryRun, "", "", word)
	writeJSON(w, http.StatusOK, done{Done: didDryRun, On: asked.On})
}

func (a *Admin) logLevel(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Level string `json:"level"`
	}
	if !decode(w, r, &asked, `{"level":"debug"}`) {
		return
	}
	if !a.backend.SetLogLevel(asked.Level) {
		writeError(w, http.StatusBadRequest, "a level is trace, debug, info, warn or error")
		return
	}
	a.record(r, didLogLevel, "", "", asked.Level)
	writeJSON(w, http.StatusOK, done{Done: didLogLevel, Level: asked.Level})
}

// done is the answer to a change.
type done struct {
	Done   string `json:"done"`
	AOR    string `json:"aor,omitempty"`
	Reason string `json:"reason,omitempty"`
	Hop    string `json:"hop,omitempty"`
	On     *bool  `json:"on,omitempty"`
	Level  string `json:"level,omitempty"`
	// Kept: a restart does not undo it, where REWATCH_STATE keeps anything.
	Kept bool `json:"kept_over_restart"`
}

// decode reads the body of a change. false: the body is wrong, and an error was answered. An unknown name
// is an error too, because it may be a mistyped one.
func decode(w http.ResponseWriter, r *http.Request, into any, example string) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows it")
		}
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "the body has to be JSON such as "+example+": "+err.Error())
		return false
	}
	return true
}
