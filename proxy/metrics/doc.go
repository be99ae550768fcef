// Package metrics counts the messages that the SIP path receives, refuses and drops, and
// shows the state of its sockets.
package metrics
