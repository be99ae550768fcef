// Package health knows whether the presence server can be reached.
//
// Any message of the server proves it. A silent server is pinged with an empty line
// (RFC 5626 4.4.1), which costs it nothing and shows by an ICMP error or a refused
// connection that nobody is there. Only when it leaves requests unanswered is it asked
// with OPTIONS, and when that stays unanswered too, it is down.
//
// # Why
//
// OPTIONS as the ordinary ping would be a request that an unmodified server never
// asked for, in its logs and counters all day long; some answer none, and then
// silence would prove nothing.
package health
