// Package route decides where a request goes.
//
// Our own entries at the top of Route are taken away and read: they say whether the
// request follows the route set of a dialog that has passed here, by which socket it
// leaves, and whether the watcher of the dialog is who its From claims. Then the next
// Route entry, the Request-URI or one of the configured next hops is chosen (RFC 3261
// 16.4 to 16.6, strict routers included). The hops of that are for package resolve, or
// at hand where the host is an address.
//
// Names are all by which our sockets are known; an address is compared by its value.
package route
