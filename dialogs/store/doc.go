// Package store keeps what has to outlive the process: a Store has the states of users, a
// Journal the facts beside them (subscriptions, registrations, alarms), and a Keeper writes
// the facts that its Sources learn to a Journal. The Stores are the MemoryStore of this
// package, package bolt (a file) and package redis (shared by several processes). Package
// storetest tests that each Store keeps the contract.
package store
