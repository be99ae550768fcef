// Package ladder remembers the last recoveries and what passed on the wire in each of
// them, for the ladder diagrams of the console.
package ladder
