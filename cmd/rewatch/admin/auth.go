package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// authorized says whether a request may change something; if not, it has
// answered. A token in a header, unlike a cookie, is not sent by a browser on
// behalf of a foreign page, so no further protection against that is needed.
func (a *Admin) authorized(w http.ResponseWriter, r *http.Request) bool {
	if a.token == "" {
		writeError(w, http.StatusForbidden, "the API only reads: REWATCH_ADMIN_TOKEN is not set")
		return false
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && sameSecret(strings.TrimSpace(given), a.token.Reveal()) {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="rewatch"`)
	writeError(w, http.StatusUnauthorized, "a bearer token is needed: Authorization: Bearer <REWATCH_ADMIN_TOKEN>")
	return false
}

// sameSecret takes the same time for every wrong guess, whatever its length.
func sameSecret(given, token string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
