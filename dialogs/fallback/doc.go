// Package fallback keeps the third-party REGISTERs that a server could not have because it
// was down, and sends them on when it is back (REWATCH_REGISTER_FALLBACK): of each user the
// newest, in the order in which they came, at a limited rate. What is kept outlives the
// process, if anything does.
//
// # Why
//
// By a third-party REGISTER an S-CSCF tells an application server that a user has come, has
// stayed or has gone (TS 24.229 5.4.1.7). Where the filter criterion says SESSION_TERMINATED,
// an S-CSCF that is refused signs the user out of everything, calls included. So package
// proxy answers in the place of a server that is down, and what it has answered for is here.
package fallback
