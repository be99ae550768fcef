package admin

import "testing"

func TestPprofNeedsTheToken(t *testing.T) {
	h := handlerFor(&fakeBackend{}, "s3cret")
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine", "/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1", "/debug/pprof/symbol"} {
		if w := askAdmin(h, "GET", path); w.Code != 401 {
			t.Errorf("%s without the token: %d", path, w.Code)
		}
		if w := askAdmin(handlerFor(&fakeBackend{}, ""), "GET", path, "X-Rewatch-Token", ""); w.Code != 403 {
			t.Errorf("%s where there is no token: %d", path, w.Code)
		}
	}
	if w := askAdmin(h, "GET", "/debug/pprof/goroutine", "X-Rewatch-Token", "s3cret"); w.Code != 200 || w.Body.Len() == 0 {
		t.Errorf("with the token: %d", w.Code)
	}
}
