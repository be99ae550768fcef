// Package route decides where a request goes.
//
// Our own entries at the top of Route are removed and read: they say whether the request
// follows the route set of a dialog that has passed here, by which socket it is sent, and
// whether the watcher of the dialog is who its From claims. Then the next Route entry, the
// Request-URI or one of the configured next hops is chosen (RFC 3261 16.4 to 16.6, strict
// routers included). Package resolve finds the addresses of that, unless the host is an
// address already. Hops that failed lately come last.
//
// Names are all names and addresses of our sockets. An address is compared by its value.
package route
