package health

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rewatch/cmd/rewatch/cli"
)

// TestCommand: what the server says decides, over HTTP and over HTTPS.
func TestCommand(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("not ready\nwait server\n"))
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	gone := httptest.NewServer(handler)
	gone.Close()
	for _, c := range []struct{ name, listen, args, out, err string }{
		{"HTTP", plain.Listener.Addr().String(), "", "ok\n", ""},
		{"HTTPS", secure.Listener.Addr().String(), "", "ok\n", ""},
		{"not ready", plain.Listener.Addr().String(), "-ready", "", "says 503: not ready; wait server"},
		{"nobody there", gone.Listener.Addr().String(), "", "", "refused"},
		{"no admin server", "off", "", "", "REWATCH_ADMIN_LISTEN=off"},
		{"a word", plain.Listener.Addr().String(), "please", "", "takes -ready or nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := Command(t.Context(), cli.Call{
				Args: strings.Fields(c.args), Stdout: &out,
				Environ: cli.Environ{"REWATCH_SERVER": "sip:127.0.0.1:5070", "REWATCH_ADMIN_LISTEN": c.listen},
			})
			if out.String() != c.out || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q, %v", &out, err)
			}
		})
	}
}
