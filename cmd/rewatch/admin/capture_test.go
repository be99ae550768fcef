package admin

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestCaptures: what the messages were is told to whoever may read; the file with their
// bodies takes the token, and is written down.
func TestCaptures(t *testing.T) {
	kept := &fakeBackend{captured: map[string][]map[string]any{"7": {{"call_id": "c1"}}}}
	for _, c := range []struct {
		name, path, token string
		backend           *fakeBackend
		status            int
		want              string
	}{
		{"off", "7/messages", "", &fakeBackend{}, 404, "REWATCH_CAPTURE is not set"},
		{"off, pcap", "7/pcap", "t", &fakeBackend{}, 404, "REWATCH_CAPTURE is not set"},
		{"messages", "7/messages", "", kept, 200, `"call_id": "c1"`},
		{"unknown", "8/messages", "", kept, 404, "there is no recovery 8"},
		{"unknown, pcap", "8/pcap", "t", kept, 404, "there is no recovery 8"},
		{"pcap without token", "7/pcap", "", kept, 401, "token"},
		{"pcap", "7/pcap", "t", kept, 200, "pcap of 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var headers []string
			if c.token != "" {
				headers = []string{"X-Rewatch-Token", c.token}
			}
			w := askAdmin(handlerFor(c.backend, "t"), http.MethodGet, "/api/v1/recoveries/"+c.path, headers...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if file := strings.HasSuffix(c.path, "pcap") && c.status == 200; file && w.Header().Get("Content-Disposition") != `attachment; filename="rewatch-7.pcap"` {
				t.Error(w.Header())
			}
		})
	}
	if !slices.ContainsFunc(kept.audited, func(line string) bool { return strings.Contains(line, "pcap") && strings.Contains(line, "recovery 7") }) || len(kept.audited) != 1 {
		t.Errorf("%q", kept.audited)
	}
}
