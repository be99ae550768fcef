// Package count has the counters that monitor and recovery share: the actions that a dry run
// did not carry out, and what was not remembered because its table was full.
package count
