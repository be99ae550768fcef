// Package aor makes the canonical form of addresses of record, which identifies a user.
package aor
