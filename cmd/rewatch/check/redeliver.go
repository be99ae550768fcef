package check

import (
	"fmt"

	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/redelivery"
)

// redeliverFinding tells how long a NOTIFY is kept, and warns where that is too short, or in vain.
func redeliverFinding(d config.DialogsConfig) finding {
	f := finding{ok: true, subject: "REWATCH_REDELIVER"}
	switch {
	case d.Answer == monitor.AnswerPassthrough:
		f.detail = "warning: nothing is kept, because with REWATCH_ANSWER=passthrough the server gets the real response"
	case d.Redeliver < redelivery.FirstPause:
		f.detail = fmt.Sprintf("warning: after %s a NOTIFY has failed, and it is sent again after %s, unless its phone shows a sign of life before", d.Redeliver, redelivery.FirstPause)
	default:
		f.detail = fmt.Sprintf("a NOTIFY is kept for %s", d.Redeliver)
	}
	return f
}
