// Package metrics counts what the SIP path takes, refuses and drops, and shows what its
// sockets hold.
package metrics
