package check

import "rewatch/cmd/rewatch/config"

// identityFinding tells which header field names the watcher, and warns if phones can choose it.
func identityFinding(from config.IdentityFrom) finding {
	f := finding{ok: true, subject: "REWATCH_IDENTITY_FROM"}
	switch from {
	case config.IdentityFromPAI:
		f.detail = "P-Asserted-Identity names watchers; the core has to take away what phones assert"
	case config.IdentityFromFrom:
		f.detail = "warning: From names watchers, and a phone can write that of another"
	default:
		f.detail = "warning: From names watchers until a P-Asserted-Identity was seen, and a phone can write that of another; 'pai' is safe"
	}
	return f
}
