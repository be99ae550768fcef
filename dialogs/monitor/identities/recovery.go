package identities

import (
	"time"

	"rewatch/dialogs"
	"rewatch/policy"
)

// Recovery passes calls on to an Engine, with the user in place of another identity: where
// replicas share users, the owner of an identity may become known only later.
type Recovery struct {
	dialogs.Recovery
	Set *Set
}

var _ dialogs.Recovery = Recovery{}

// Offer implements [dialogs.Recovery].
func (r Recovery) Offer(aor string, e policy.Event) { r.Recovery.Offer(r.Set.Named(aor), e) }

// Failed implements [dialogs.Recovery].
func (r Recovery) Failed(f dialogs.Failure) {
	f.AOR = r.Set.Named(f.AOR)
	r.Recovery.Failed(f)
}

// Interested implements [dialogs.Recovery].
func (r Recovery) Interested(aor string) bool { return r.Recovery.Interested(r.Set.Named(aor)) }

// Known implements [dialogs.Recovery].
func (r Recovery) Known(aor string) bool { return r.Recovery.Known(r.Set.Named(aor)) }

// Banned implements [dialogs.Recovery].
func (r Recovery) Banned(aor string, at time.Time) bool {
	return r.Recovery.Banned(r.Set.Named(aor), at)
}

// Trace implements [dialogs.Recovery].
func (r Recovery) Trace(aor string, s dialogs.Step) { r.Recovery.Trace(r.Set.Named(aor), s) }
