package check

import (
	"fmt"

	"rewatch/cmd/rewatch/budget"
	"rewatch/cmd/rewatch/config"
)

// memoryFinding tells how much memory rewatch takes at most with a configuration, and how much of a
// limit is left for the tables that grow with the users. Both are in bytes; limit 0 is no limit.
func memoryFinding(cfg config.Config, limit int64) finding {
	parts := budget.Of(cfg)
	found := finding{true, "memory", budget.Text(parts)}
	if limit > 0 {
		shared, ok := budget.Shared(parts, limit)
		found.ok = ok
		found.detail += fmt.Sprintf("; of a limit of %d MiB the first four share %d MiB", limit>>20, shared>>20)
		if !ok {
			found.detail += fmt.Sprintf(", for the limit leaves them too little; at least %d MiB are needed", (budget.Least(parts)+1<<20-1)>>20)
		}
	}
	return found
}
