// Package alarm keeps the alarms that an administrator has to know of.
//
// An alarm has the fields of X.733 and is raised once and cleared once: the
// [Manager] knows which are active, so that raising one again, or clearing one
// that is not active, does nothing. Both may be called from anywhere and never
// wait.
//
// Every raise and every clear is handed to each [Sink]: the log, webhooks, an
// Alertmanager, an SNMP manager. A sink has a queue and a worker of its own, so
// one that is down holds nobody up; its worker tries again with growing pauses
// until it is back.
//
// # Why
//
// The queue is bounded. When it is full, what is lost first is history, never
// the present: of several changes of one alarm only the last one is kept. A
// receiver that is told of a clear without a raise can ignore it; one that is
// never told of a clear shows an alarm for ever.
package alarm
