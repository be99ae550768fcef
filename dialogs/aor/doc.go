// Package aor gives addresses of record their canonical form, by which users are told
// apart.
package aor
