// Package observe reads the fields of a message that a Monitor needs: who watches, what is
// subscribed to, which devices are registered. It copies nothing, and knows which neighbours
// assert identities (RFC 3325).
package observe
