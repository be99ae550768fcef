// Package uac sends the requests that are rewatch's own: the MESSAGE that tells
// a watcher what broke (RFC 3428), the third-party REGISTER that signs it out
// (RFC 3261 10.2.2), the NOTIFY that ends a dead subscription (RFC 6665 4.1.3),
// and the OPTIONS that asks whether a neighbour is alive.
//
// A request goes out like this: it is drafted as a list of headers; the next
// hops are resolved; for each hop in turn it gets a Via with a branch of ours
// and is handed to a client transaction of sipgo, which repeats it by Timer E
// and gives up by Timer F. Bytes leave through [Sender], which package proxy
// fulfils, and come back through [Client.Receive], which proxy calls for every
// response whose top branch starts with [BranchPrefix]. A challenge is answered
// with a digest, once.
//
// What a failure means is left to the caller: every method returns a
// [dialogs.Result] and judges nothing but the list of bindings in the answer to
// a de-REGISTER.
//
// # Why
//
// The transactions of sipgo are used without its transport layer, because the
// sockets belong to the forwarding path: a peer has to see one address, whether
// a request was forwarded or is our own.
package uac
