// Package uac sends the requests that are rewatch's own: the MESSAGE that tells
// a watcher which subscriptions were lost (RFC 3428), the third-party REGISTER that signs it out
// (RFC 3261 10.2.2), the NOTIFY that ends a dead subscription (RFC 6665 4.1.3),
// and the OPTIONS that asks whether a neighbour is alive.
//
// A request is sent like this: it is drafted as a list of headers; the next hops are resolved;
// for each hop in turn it gets a Via with a branch of ours and a client transaction of sipgo,
// which retransmits it (Timer E) and gives up (Timer F). Its bytes are sent through [Sender],
// and [Client.Receive] is called for every response whose uppermost branch starts with
// [BranchPrefix]; cmd joins both to package proxy. A challenge is answered
// with a digest, once, if no phone can have written it.
//
// The caller decides what a failure means: every method returns a [dialogs.Result]. Only the list
// of bindings in the response to a de-REGISTER is checked here.
//
// # Why
//
// The transactions of sipgo are used without its transport layer, because the
// sockets belong to the forwarding path: a peer has to see one address, whether
// a request was forwarded or is our own.
package uac
