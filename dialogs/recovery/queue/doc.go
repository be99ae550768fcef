// Package queue gives requests their turn: the oldest first, evenly spaced, no more of
// them at once than a limit, and no more in any hour than a cap.
package queue
