// Package fallback keeps the third-party REGISTERs for a server that is down, and sends them
// when the server is back (REWATCH_REGISTER_FALLBACK): the newest one of each user, in the
// order in which they came, at a limited rate. They are written to the Journal.
//
// # Why
//
// With a third-party REGISTER an S-CSCF tells an application server that a user has
// registered, has refreshed its registration or has left (TS 24.229 5.4.1.7). Where the
// initial filter criterion says SESSION_TERMINATED, an S-CSCF that gets no 2xx signs the user
// out of everything, calls included. So package proxy answers in place of the server.
package fallback
