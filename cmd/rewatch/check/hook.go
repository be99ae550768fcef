package check

import (
	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs/recovery/hook"
)

// hookFinding tells what REWATCH_DEREGISTER_HOOK ends: one device, or all devices of a user.
func hookFinding(c config.UACConfig) finding {
	f := finding{ok: true, subject: "REWATCH_DEREGISTER_HOOK"}
	switch {
	case hook.Names(c.Hook, c.HookBody):
		f.detail = "ends the device that is lost ({contact})"
	case c.Deregister == config.DeregisterAll:
		f.detail = "ends all devices of a user"
	default:
		f.detail = "warning: without {contact} it ends all devices of a user; who has another one stays registered, unless REWATCH_DEREGISTER=all"
	}
	return f
}
