package admin

import (
	"net/http"
	"net/http/pprof"
)

// routePprof adds what a developer asks for. It tells of addresses and may cost time, so it
// needs the token. A profile lasts at most 10 seconds, because an answer does.
func (a *Admin) routePprof(mux *http.ServeMux) {
	for path, answer := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/profile": pprof.Profile, "/debug/pprof/trace": pprof.Trace,
		"/debug/pprof/symbol": pprof.Symbol,
	} {
		mux.HandleFunc(path, readOnly(func(w http.ResponseWriter, r *http.Request) {
			if a.authorized(w, r) {
				answer(w, r)
			}
		}))
	}
}
