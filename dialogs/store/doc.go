// Package store is what outlives the process: a Store has the states of users, a Journal
// what was learnt besides, and a Keeper writes to a Journal what its Sources learn. The
// Stores are the MemoryStore of this package, package bolt (a file) and package redis
// (several processes together); package storetest is their contract.
package store
