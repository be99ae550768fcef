package recovery_test

import (
	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// The tests write fields as they stand in a message.

func asEvent(v string) dialogs.Event { return dialogs.Event(wire.ParseEvent([]byte(v))) }

func asState(v string) dialogs.SubscriptionState {
	return dialogs.SubscriptionState(wire.ParseState([]byte(v)))
}

func asContacts(v string) (list []dialogs.Contact) {
	for _, c := range asValues(v) {
		list = append(list, dialogs.Contact(wire.ParseContact(c)))
	}
	return list
}

// asTarget is the Request-URI of a NOTIFY.
func asTarget(uri string) []dialogs.Contact {
	return []dialogs.Contact{dialogs.Contact(wire.ContactURI([]byte(uri)))}
}

func asValues(v string) (list [][]byte) {
	for rest := []byte(v); ; {
		first, next := wire.Split(rest)
		if len(first) > 0 {
			list = append(list, first)
		}
		if next < 0 {
			return list
		}
		rest = rest[next:]
	}
}
