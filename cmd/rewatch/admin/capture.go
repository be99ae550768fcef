package admin

import (
	"net/http"
	"strconv"
)

// Captures are the SIP messages of a recovery, where they are kept (REWATCH_CAPTURE).
type Captures interface {
	// Captures says whether any are kept.
	Captures() bool
	// Messages lists the messages of a recovery without their bodies. Pcap gives a capture file with
	// the whole messages. false: there is no such recovery.
	Messages(id string) (any, bool)
	Pcap(id string) ([]byte, bool)
}

// routeCaptures adds the API of captured messages. A capture file has their bodies, which tell where users
// are and what they write. So it needs the token, and is written to the audit log.
func (a *Admin) routeCaptures(read func(path string, answer http.HandlerFunc)) {
	read("/api/v1/recoveries/{id}/messages", func(w http.ResponseWriter, r *http.Request) {
		if items, ok := a.backend.Messages(r.PathValue("id")); a.captured(w, r, ok) {
			writeJSON(w, http.StatusOK, Page{Items: items})
		}
	})
	read("/api/v1/recoveries/{id}/pcap", func(w http.ResponseWriter, r *http.Request) {
		if !a.authorized(w, r) {
			return
		}
		id := r.PathValue("id")
		file, ok := a.backend.Pcap(id)
		if !a.captured(w, r, ok) {
			return
		}
		a.record(r, "pcap", "", "", "recovery "+id)
		w.Header().Set("Content-Type", "application/vnd.tcpdump.pcap")
		w.Header().Set("Content-Disposition", `attachment; filename="rewatch-`+id+`.pcap"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(file)))
		_, _ = w.Write(file)
	})
}

// captured says whether the messages of a recovery can be shown. If not, an error was answered.
func (a *Admin) captured(w http.ResponseWriter, r *http.Request, ok bool) bool {
	switch {
	case !a.backend.Captures():
		writeError(w, http.StatusNotFound, "no messages are kept: REWATCH_CAPTURE is not set")
	case !ok:
		writeError(w, http.StatusNotFound, "there is no recovery "+r.PathValue("id"))
	default:
		return true
	}
	return false
}
