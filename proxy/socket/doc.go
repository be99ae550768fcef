// Package socket has rewatch's own sockets: the name of each in Via, Route and Record-Route,
// the choice of one that reaches an address, and the sending of messages by them, as datagrams
// or over connections. Package transport moves the bytes. A Tap is shown every message.
package socket
