// Package dialogstest reads SIP fields as they stand in a message into the words of
// package dialogs, for the tests of those who are told of messages.
package dialogstest

import (
	"rewatch/dialogs"
	"rewatch/proxy/wire"
)

// Event reads an Event field.
func Event(v string) dialogs.Event { return dialogs.Event(wire.ParseEvent([]byte(v))) }

// State reads a Subscription-State field.
func State(v string) dialogs.SubscriptionState {
	return dialogs.SubscriptionState(wire.ParseState([]byte(v)))
}

// Contacts reads a Contact field.
func Contacts(v string) (list []dialogs.Contact) {
	for _, c := range values(v) {
		list = append(list, dialogs.Contact(wire.ParseContact(c)))
	}
	return list
}

// Target is the Contact that the Request-URI of a NOTIFY is.
func Target(uri string) []dialogs.Contact {
	return []dialogs.Contact{dialogs.Contact(wire.ContactURI([]byte(uri)))}
}

// Identities reads a P-Asserted-Identity field.
func Identities(v string) (list [][]byte) {
	for _, c := range values(v) {
		uri, _, _ := wire.Address(c)
		list = append(list, uri)
	}
	return list
}

func values(v string) (list [][]byte) {
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
