package dialogs_test

import (
	"testing"

	"rewatch/dialogs"
	"rewatch/dialogs/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) dialogs.Store { return dialogs.NewMemoryStore() })
}

func TestMemoryJournal(t *testing.T) {
	storetest.RunJournal(t, func(*testing.T) dialogs.Journal { return dialogs.NewMemoryStore() })
}
