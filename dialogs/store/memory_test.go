package store_test

import (
	"testing"

	"rewatch/dialogs/store"
	"rewatch/dialogs/store/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemoryStore() })
}

func TestMemoryJournal(t *testing.T) {
	storetest.RunJournal(t, func(*testing.T) store.Journal { return store.NewMemoryStore() })
}
