package admin

import (
	"fmt"
	"net/http"
	"strings"
)

// readyz lists the conditions of readiness: 200 if all are met, else 503. The answer is text, or JSON if
// the request accepts that.
func (a *Admin) readyz(w http.ResponseWriter, r *http.Request) {
	conditions := a.backend.Ready()
	status := http.StatusOK
	if !allOK(conditions) {
		status = http.StatusServiceUnavailable
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, status, readiness{Ready: status == http.StatusOK, Conditions: conditions})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, readyText(conditions))
}

type readiness struct {
	Ready      bool        `json:"ready"`
	Conditions []Condition `json:"conditions"`
}

func allOK(conditions []Condition) bool {
	for _, c := range conditions {
		if !c.OK {
			return false
		}
	}
	return true
}

func readyText(conditions []Condition) string {
	var b strings.Builder
	head := "ready"
	if !allOK(conditions) {
		head = "not ready"
	}
	fmt.Fprintln(&b, head)
	for _, c := range conditions {
		mark := "ok  "
		if !c.OK {
			mark = "wait"
		}
		line := mark + " " + c.Name
		if c.Detail != "" {
			line += ": " + c.Detail
		}
		fmt.Fprintln(&b, line)
	}
	return b.String()
}
