// Package health knows whether the presence server can be reached.
//
// Any message of the server proves it. A silent server is pinged with an empty line
// (RFC 5626 4.4.1), which costs the server nothing. An ICMP error or a refused connection
// shows that nobody is there. Only when the server leaves requests unanswered it is sent
// OPTIONS, by every way to it at once, and when these stay unanswered too, it is down. A hop
// that is silent while another way is open is avoided.
//
// # Why
//
// OPTIONS as the ordinary ping would fill the logs and counters of a server that knows nothing
// of rewatch. Some servers do not answer OPTIONS, so silence would prove nothing.
package health
