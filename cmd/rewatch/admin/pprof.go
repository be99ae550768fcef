package admin

import (
	"net/http"
	"net/http/pprof"
)

// routePprof adds the profiles of Go. They may show addresses and cost time, so they need the token. A
// profile lasts at most 10 seconds, because no answer may take longer.
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
