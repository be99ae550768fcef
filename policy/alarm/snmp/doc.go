// Package snmp tells SNMP managers of alarms: one notification of REWATCH-MIB
// (docker/snmp) for each raise and one for each clear.
//
// [New] returns a sink for package alarm, which has the queue and tries again.
// notification.go turns an alarm into the objects of the MIB, user.go holds what
// SNMPv3 needs, and the messages themselves are made by gosnmp. A socket is
// opened for each notification: alarms are rare, and so a manager whose name has
// moved to another address is found again.
//
// # Why
//
// A trap is sent and forgotten, as UDP is: whether it arrived nobody knows. An
// INFORM is answered, so that the queue keeps an alarm until its manager has it.
// Traps are the default only because every manager takes them.
//
// With SNMPv3 the sender of a trap is the authoritative engine, whose clock must
// never go back, not even after a restart (RFC 3414 2.2): a manager throws away
// what is older than 150 seconds. Counting boots would need a disk, and replicas
// that share an engine ID would have to share the count. So the clock of the
// engine is the one on the wall, which a restart does not set back and replicas
// have in common anyway.
package snmp
