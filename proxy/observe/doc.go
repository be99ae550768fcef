// Package observe reads what of a message concerns a Monitor: who watches, what is subscribed
// to, which devices are registered. It copies nothing, and knows the neighbours that assert
// identities (RFC 3325).
package observe
